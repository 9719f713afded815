-- The customer's present vehicle is the one whose keeping began last.
with kept as (
    select tenant_id, customer_id, vin, first_registered_on,
        row_number() over (partition by tenant_id, customer_id order by valid_from desc, vin) as place,
        count(*) over (partition by tenant_id, customer_id) as vehicles
    from vehicles
), leased as (
    select tenant_id, customer_id, vin, max(ends_on) as ends_on
    from leases
    group by tenant_id, customer_id, vin
)
select k.tenant_id, k.customer_id,
    date_diff('day', k.first_registered_on, as_of()) / 365.25 as vehicle_age_years,
    greatest(date_diff('day', k.first_registered_on, as_of()) / 365.25 - 3, 0) as vehicle_age_over_3_years,
    k.vehicles as vehicles_kept,
    date_diff('day', as_of(), l.ends_on) / 30.4375 as months_to_lease_end,
    l.ends_on is not null as leases_now,
    coalesce(date_diff('day', as_of(), l.ends_on) between -31 and 122, false) as lease_ends_within_4_months,
    coalesce(date_diff('day', as_of(), l.ends_on) between 123 and 214, false) as lease_ends_in_4_to_7_months
from kept k
left join leased l on l.tenant_id = k.tenant_id and l.customer_id = k.customer_id and l.vin = k.vin
where k.place = 1
