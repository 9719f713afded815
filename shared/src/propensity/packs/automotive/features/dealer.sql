-- The dealer's own level, from the dealer's own rows: customers of a year ago, and what they did since.
with seen as (
    select tenant_id, customer_id, sold_on::timestamp as day, 1 as purchases, 0 as visits from sales
    union all
    select tenant_id, customer_id, visited_at, 0, 1 from service_records
), customer as (
    select tenant_id, customer_id,
        sum(purchases) filter (day >= as_of() - interval 12 month) as purchases,
        sum(visits) filter (day >= as_of() - interval 12 month) as visits
    from seen
    group by tenant_id, customer_id
    having min(day) < as_of() - interval 12 month
), dealer as (
    -- of fewer customers a rate is chance
    select tenant_id, 100 * coalesce(sum(purchases), 0) / count(*) as purchases,
        100 * coalesce(sum(visits), 0) / count(*) as visits
    from customer
    group by tenant_id
    having count(*) >= 50
)
select p.tenant_id, p.customer_id,
    ln(1 + d.purchases) as log_dealer_purchases_12m,
    ln(1 + d.visits) as log_dealer_visits_12m
from population p
left join dealer d using (tenant_id)
