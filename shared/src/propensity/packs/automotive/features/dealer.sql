-- The dealer's own level, from the dealer's own rows: what its customers did in a year that ended three months ago. A row
-- that comes late would otherwise give all customers of the dealer another value than they were scored on.
with seen as (
    select tenant_id, customer_id, sold_on::timestamp as day, 1 as purchases, 0 as visits from sales
    where sold_on < as_of() - interval 3 month
    union all
    select tenant_id, customer_id, visited_at, 0, 1 from service_records where visited_at < as_of() - interval 3 month
), customer as (
    select tenant_id, customer_id,
        sum(purchases) filter (day >= as_of() - interval 15 month) as purchases,
        sum(visits) filter (day >= as_of() - interval 15 month) as visits
    from seen
    group by tenant_id, customer_id
    having min(day) < as_of() - interval 15 month
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
