with bought as (
    select tenant_id, customer_id, count(*) as purchases, min(sold_on) as first_on, max(sold_on) as last_on
    from sales
    group by tenant_id, customer_id
), served as (
    select tenant_id, customer_id, min(visited_at) as first_at
    from service_records
    group by tenant_id, customer_id
)
select p.tenant_id, p.customer_id,
    date_diff('day', least(b.first_on::timestamp, s.first_at), as_of()) / 365.25 as tenure_years,
    b.purchases as purchases,
    b.purchases >= 2 as bought_again_here,
    date_diff('day', b.last_on, as_of()) / 30.4375 as months_since_purchase
from population p
left join bought b using (tenant_id, customer_id)
left join served s using (tenant_id, customer_id)
