-- A long list is a campaign to all; who is called on a short day was picked, or asked for the call. A day's list is a
-- run of one weekday in the order of the calls. Both lists are made before the first call.
with placed as (
    select tenant_id, lead_id, position, euribor_3m, date_trunc('month', listed_on) as month,
        coalesce(weekday <> lag(weekday) over (partition by tenant_id, listed_on order by position, lead_id), true)
            as begins
    from leads
    where listed_on >= date_trunc('month', as_of())
), daily as (
    select *, sum(begins::integer) over (partition by tenant_id, month order by position, lead_id) as day
    from placed
)
select tenant_id, lead_id,
    ln(count(*) over (partition by tenant_id, month, day)) as log_day_list,
    ln(count(*) over (partition by tenant_id, month)) as log_month_list
from daily
