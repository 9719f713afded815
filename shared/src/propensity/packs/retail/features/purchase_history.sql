-- What a customer's own purchases say. A purchase is a line with a customer, that is no cancellation,
-- of a positive quantity and price; a basket is an invoice's purchases.
with basket as (
    select tenant_id, customer_id, invoice,
        min(invoiced_at) as bought_at,
        sum(quantity * unit_price) as amount,
        count(distinct stock_code) as articles
    from invoice_lines
    where customer_id is not null and invoice not like 'C%' and quantity > 0 and unit_price > 0
    group by tenant_id, customer_id, invoice
), spaced as (
    select *,
        date_diff('hour', lag(bought_at) over (partition by tenant_id, customer_id order by bought_at, invoice), bought_at)
            / 24.0 as days_since_previous
    from basket
), returned as (
    select tenant_id, customer_id, count(distinct invoice) as returns
    from invoice_lines
    where customer_id is not null and invoice like 'C%'
    group by tenant_id, customer_id
)
select tenant_id, customer_id,
    ln(1 + date_diff('hour', max(bought_at), as_of()) / 24.0) as log_days_since_last,
    ln(1 + date_diff('hour', min(bought_at), as_of()) / 24.0) as log_days_since_first,
    ln(count(*)) as log_purchases,
    ln(1 + sum(amount)) as log_spend,
    ln(1 + avg(amount)) as log_basket_amount,
    ln(1 + avg(articles)) as log_basket_articles,
    ln(1 + count(*) filter (bought_at >= as_of() - interval 30 day)) as log_purchases_30d,
    ln(1 + count(*) filter (bought_at >= as_of() - interval 60 day)) as log_purchases_60d,
    ln(1 + count(*) filter (bought_at >= as_of() - interval 90 day)) as log_purchases_90d,
    ln(1 + count(*) filter (bought_at >= as_of() - interval 180 day)) as log_purchases_180d,
    ln(1 + count(*) filter (bought_at >= as_of() - interval 365 day)) as log_purchases_365d,
    ln(1 + coalesce(sum(amount) filter (bought_at >= as_of() - interval 180 day), 0)) as log_spend_180d,
    count(distinct date_trunc('month', bought_at)) filter (bought_at >= as_of() - interval 365 day) as months_active,
    count(*) filter (bought_at >= as_of() - interval 365 day and bought_at < as_of() - interval 275 day) > 0
        as bought_last_season,
    count(*) filter (bought_at >= as_of() - interval 365 day and bought_at < as_of() - interval 335 day) > 0
        as bought_same_month_last_year,
    ln(1 + median(days_since_previous)) as log_usual_gap,
    ln(1 + date_diff('hour', max(bought_at), as_of()) / 24.0) - ln(1 + median(days_since_previous)) as overdue,
    ln(1 + coalesce(max(returns), 0)) as log_returns
from spaced left join returned using (tenant_id, customer_id)
group by tenant_id, customer_id
