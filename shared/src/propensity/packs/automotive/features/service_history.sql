with visit as (
    select tenant_id, customer_id, visited_at, amount, coalesce(declined_amount, 0) as declined,
        date_diff('hour', lag(visited_at) over (partition by tenant_id, customer_id order by visited_at, service_id),
            visited_at) / 24.0 as days_between
    from service_records
), bought as (
    select tenant_id, customer_id, max(sold_on) as last_sold
    from sales
    group by tenant_id, customer_id
)
select p.tenant_id, p.customer_id,
    date_diff('hour', max(visited_at), as_of()) / 24.0 as days_since_service,
    -- greatest() passes over NULL: who never came counts from the purchase
    abs(date_diff('hour', greatest(max(visited_at), any_value(last_sold)::timestamp), as_of()) / 24.0 - 365)
        as days_from_yearly_service,
    ln(1 + date_diff('hour', max(visited_at), as_of()) / 24.0) as log_days_since_service,
    count(*) filter (visited_at >= as_of() - interval 6 month) as visits_6m,
    count(*) filter (visited_at >= as_of() - interval 12 month) as visits_12m,
    count(*) filter (visited_at >= as_of() - interval 24 month) as visits_24m,
    count(*) filter (visited_at >= as_of() - interval 36 month) as visits_36m,
    ln(1 + coalesce(sum(amount) filter (visited_at >= as_of() - interval 12 month), 0)) as log_spend_12m,
    ln(1 + coalesce(sum(amount) filter (visited_at >= as_of() - interval 36 month), 0)) as log_spend_36m,
    ln(1 + coalesce(sum(declined) filter (visited_at >= as_of() - interval 12 month), 0)) as log_declined_12m,
    median(days_between) as usual_days_between_visits
from population p
left join visit using (tenant_id, customer_id)
left join bought using (tenant_id, customer_id)
group by p.tenant_id, p.customer_id
