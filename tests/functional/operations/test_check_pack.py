"""`make check` tells each mistake of a pack by file, line and remedy, all of them at once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.operations.check_pack import check_pack
from propensity.pack.domain.mistakes import Mistake
from propensity.runtime.pack_files import pack_files, pack_names
from tests.stack.check_pack import main, read_folder


@dataclass(frozen=True)
class Plant:
    """One mistake: `old` becomes `new` in a file of a pack. `at` is text of the line on which it must be told."""

    pack: str
    file: str
    old: str
    new: str
    said: str
    remedy: str
    at: str = ""
    told_in: str = ""

    def __str__(self) -> str:
        return f"{self.pack}/{self.file}: {self.old.strip()[:30]} -> {self.new.strip()[:40]}"


SALES, VEHICLES, INVOICES = "contracts/sales.yaml", "contracts/vehicles.yaml", "contracts/invoice_lines.yaml"
LEADS, HISTORY, BUY = "contracts/leads.yaml", "features/service_history", "models/buy.yaml"
SUBSCRIBE, PURCHASE = "models/subscribe.yaml", "models/purchase_30d.yaml"
TARGET = "sql: select distinct tenant_id, customer_id from outcome.sales\n"
VISITS = "{name: visits_24m, dtype: integer,"
RULES, GOOGLE, PLAIN = "rules.yaml", "destinations/google_ads.yaml", "destinations/plain.yaml"
RULED = "rules:"
RELATION, SERVED = "features/relation.sql", "left join served s using (tenant_id, customer_id)"
LOGIC = "        classification: restricted\n        logicalTypeOptions: {pattern: '[0-9]+'}"


def auto(file: str, old: str, new: str, said: str, remedy: str, at: str = "", told_in: str = "") -> Plant:
    return Plant("automotive", file, old, new, said, remedy, at, told_in)


def retail(file: str, old: str, new: str, said: str, remedy: str, at: str = "", told_in: str = "") -> Plant:
    return Plant("retail", file, old, new, said, remedy, at, told_in)


def leads(file: str, old: str, new: str, said: str, remedy: str, at: str = "", told_in: str = "") -> Plant:
    return Plant("leads", file, old, new, said, remedy, at, told_in)


PLANTED = [
    # pack.yaml
    auto("pack.yaml", "name: automotive", "name: cars", "the folder is 'automotive'", "Rename"),
    # what a newcomer types
    leads(
        SUBSCRIBE, "population:\n  ", "population:\n\t", "begins with a tab", "Indent it with blanks", "\tdescription"
    ),
    leads(
        SUBSCRIBE, "cadence: {", "cadence: {anchor_day: 2024-13-01, ", "2024-13-01 is no date", "YYYY-MM-DD", "2024-13"
    ),
    leads(SUBSCRIBE, "\nhorizon_days", "\n<<<<<<< HEAD\nhorizon_days", "not YAML", "Correct", "horizon_days: 30"),
    leads(
        SUBSCRIBE, "horizon_days", "\u00a0horizon_days", "did you mean horizon_days?", "Correct the field", "\u00a0hor"
    ),
    auto("pack.yaml", "buckets: 8", "buckets: 8\nbuckets: 9", "'buckets' stands there twice", "Keep one", "buckets: 9"),
    auto("pack.yaml", "buckets: 8", "buckets: 0", "greater than or equal to 1", "Correct"),
    auto("pack.yaml", "buckets: 8", "buckets: eight", "valid integer", "Correct"),
    auto("pack.yaml", "buckets: 8", "bucket: 8", "did you mean buckets?", "Correct the field"),
    auto("pack.yaml", "partition_key: tenant", "partition_key: dealer", "'tenant' or 'entity'", "Write one"),
    auto("pack.yaml", "models: [buy, service]", "models: [buy, servic]", "did you mean service?", "Correct the name"),
    auto("pack.yaml", "datasets: [customers,", "datasets: [customer,", "did you mean customers?", "Correct the name"),
    auto(
        "pack.yaml",
        "models: [buy, service]",
        "models: [buy]",
        "does not list it",
        "Add service",
        "name: service",
        "models/service.yaml",
    ),
    auto(
        "pack.yaml",
        "models: [buy, service]",
        "models: [buy, service",
        "not YAML",
        "Correct the indentation",
        "models: [buy, service",
    ),
    auto("pack.yaml", "entity: customer_id\n", "", "entity: the field is missing", "Add entity", "name: automotive"),
    auto(
        "pack.yaml",
        "partition_key: tenant",
        "partition_key: entity",
        "partitionKey is missing",
        "Add partitionKey",
        "customProperties:",
        SALES,
    ),
    # contracts
    retail(
        INVOICES,
        "      - {property: partitionKey, value: customer_id}\n",
        "",
        "partitionKey is missing",
        "Add partitionKey",
        "customProperties:",
    ),
    retail(
        INVOICES,
        "partitionKey, value: customer_id",
        "partitionKey, value: customer",
        "names 'customer', which is not a property",
        "Correct",
    ),
    retail(
        INVOICES,
        "partitionKey, value: customer_id",
        "partitionKey, value: country",
        "the customer is 'customer_id'",
        "Name customer_id",
    ),
    retail(
        INVOICES,
        "{minimum: -100000, maximum: 100000}",
        "{minimum: 100000, maximum: -100000}",
        "minimum 100000 is above maximum -100000",
        "Swap",
    ),
    retail(
        INVOICES, "{minLength: 1, maxLength: 20}", "{minLength: 21, maxLength: 20}", "minLength 21 is above", "Swap"
    ),
    retail(INVOICES, "{minLength: 1, maxLength: 20}", "{minLength: one, maxLength: 20}", "whole number", "Correct"),
    retail(INVOICES, "{pattern: '[AC]?[0-9]{6}'}", "{pattern: '[AC]?([0-9]{6}'}", "pattern", "Correct"),
    retail(
        INVOICES,
        "{pattern: '[AC]?[0-9]{6}'}",
        "{pattern: '(?=[AC])[0-9]{6}'}",
        "a rule cannot be run",
        "Correct the pattern",
    ),
    retail(
        INVOICES,
        "logicalType: integer\n        required: true\n        primaryKey: true\n        primaryKeyPosition: 3",
        "logicalType: int\n        required: true\n        primaryKey: true\n        primaryKeyPosition: 3",
        "logicalType is 'int'",
        "Correct",
        "logicalType: int\n",
    ),
    retail(
        INVOICES,
        LOGIC,
        LOGIC.replace("logicalTypeOptions", "logicalTypeOption"),
        "logicalTypeOption",
        "Correct",
        "logicalTypeOption:",
    ),
    retail(
        INVOICES,
        "property: normalise, value: [integer_text]",
        "property: normalize, value: [integer_text]",
        "unknown normalize",
        "Correct",
    ),
    retail(INVOICES, "value: [integer_text]", "value: [digits]", "normalise is", "Correct", "normalise"),
    retail(
        INVOICES,
        "{property: knownAt, value: {column: invoiced_at}}",
        "{property: knownAt, value: {lagDays: -3}}",
        "date rows back",
        "Give the days",
    ),
    retail(
        INVOICES,
        "      - {property: knownAt, value: {column: invoiced_at}}\n",
        "",
        "knownAt is missing",
        "Add knownAt",
        "customProperties:",
    ),
    retail(
        INVOICES,
        "knownAt, value: {column: invoiced_at}",
        "knownAt, value: {column: invoiced}",
        "names 'invoiced'",
        "Correct",
    ),
    retail(
        INVOICES,
        "knownAt, value: {column: invoiced_at}",
        "knownAt, value: invoiced_at",
        "knownAt is 'invoiced_at'",
        "Correct",
    ),
    retail(
        INVOICES,
        "eventTime, value: invoiced_at",
        "eventTime, value: country",
        "needs a required date",
        "Correct",
        "name: country",
    ),
    retail(
        INVOICES,
        "      - {property: eventTime, value: invoiced_at}\n",
        "",
        "eventTime is missing",
        "Correct",
        "customProperties:",
    ),
    retail(INVOICES, "version: 1.0.0", "version: 1.0", "version: Input should be a valid string", "Correct"),
    retail(INVOICES, "version: 1.0.0", "version: v1", "major.minor.patch", "Correct"),
    retail(INVOICES, "name: invoice_lines", "name: invoices", "expected 'invoice_lines' as the file says", "Rename"),
    retail(INVOICES, "value: [Country]", "value: [CustomerID]", "already stands for", "Correct"),
    auto(
        SALES,
        "logicalType: date",
        "logicalType: date\n        logicalType: string",
        "'logicalType' stands there twice",
        "Keep one",
        "logicalType: string\n        required: true\n        logicalTypeOptions: {minimum",
    ),
    auto(VEHICLES, "{minimum: 1950, maximum: 2100}", "{minimum: 1950, maximum: 1900}", "minimum 1950 is above", "Swap"),
    auto(
        VEHICLES,
        "{minimum: '1990-01-01', maximum: '2100-01-01'}",
        "{minimum: '2100-01-01', maximum: '1990-01-01'}",
        "is above maximum",
        "Swap",
    ),
    auto(
        VEHICLES,
        "{minimum: '1990-01-01', maximum: '2100-01-01'}",
        "{minimum: 'soon', maximum: '2100-01-01'}",
        "expected an ISO date",
        "Correct",
    ),
    auto(VEHICLES, "to: customers.customer_id", "to: customer.customer_id", "did you mean customers?", "Correct `to`"),
    auto(VEHICLES, "to: customers.customer_id", "to: customers.id", "has no column 'id'", "Correct `to`"),
    auto("identity.yaml", "customers.email", "customers.mail", "mail", "Correct"),
    leads(LEADS, "implementation: day(listed_on) <> 1", "implementation: day(listed) <> 1", "listed", "Correct"),
    leads(LEADS, "{minimum: 17, maximum: 120}", "{exclusiveMinimum: 120, maximum: 120}", "leave no value", "Swap"),
    # features
    auto(
        f"{HISTORY}.yaml",
        VISITS,
        "{name: visits_24m, unit: a, dtype: integer,",
        "'unit' stands there twice",
        "Keep one",
    ),
    auto(
        f"{HISTORY}.yaml",
        VISITS,
        "{name: visits_24m, dtyp: integer,",
        "features.visits_24m.dtyp: unknown field; did you mean dtype?",
        "Correct the field",
    ),
    auto(
        f"{HISTORY}.yaml",
        VISITS,
        "{name: visits_24m, dtype: whole,",
        "features.visits_24m.dtype: is 'whole'",
        "Write one",
    ),
    auto(
        f"{HISTORY}.yaml",
        VISITS,
        "{name: visits_2y, dtype: integer,",
        "did you mean visits_24m?",
        "Add it to the SELECT",
    ),
    auto(f"{HISTORY}.yaml", VISITS, "{name: Visits_24m, dtype: integer,", "small letters", "Rename"),
    auto(
        f"{HISTORY}.yaml",
        f"{VISITS} unit: visits, description: Visits in the last 24 months, default: 0",
        f"{VISITS} unit: visits, description: d, default: none",
        "default is 'none', expected a number",
        "Correct",
    ),
    auto(
        f"{HISTORY}.yaml",
        "{value:.0f} visits in 24 months",
        "{valu:.0f} visits in 24 months",
        "reason must be text with {value}",
        "Correct",
    ),
    auto(
        f"{HISTORY}.yaml",
        f"{VISITS} unit",
        "{name: visits_12m, dtype: integer, unit",
        "visits_12m stands there twice",
        "Remove one",
        "description: Visits in the last 24",
    ),
    auto(
        f"{HISTORY}.yaml",
        "group: service_history",
        "group: history",
        "expected 'service_history' as the file says",
        "Rename",
    ),
    auto(f"{HISTORY}.sql", "as visits_24m", "as visits_2y", "the SELECT gives visits_2y", "Declare it", "as visits_2y"),
    auto(
        f"{HISTORY}.sql",
        "median(days_between) as",
        "min(visited_at)::varchar as",
        "gives VARCHAR where dtype number needs a number",
        "Cast it",
    ),
    auto(f"{HISTORY}.sql", "median(days_between) as", "min(visited_at) as", "gives TIMESTAMP where", "date_diff"),
    auto(
        f"{HISTORY}.sql",
        "coalesce(declined_amount, 0)",
        "coalesce(declined_sum, 0)",
        '"declined_sum" not found',
        "Correct the name",
    ),
    auto(
        f"{HISTORY}.sql",
        "from service_records",
        "from service_record",
        "did you mean service_records?",
        "Correct the name",
    ),
    auto(
        f"{HISTORY}.sql",
        "from service_records",
        "from outcome.service_records",
        "may see the label window",
        "Read service_records",
    ),
    auto(
        f"{HISTORY}.sql",
        "max(visited_at), as_of()) / 24.0 as days_since_service",
        "max(visited_at), now()::timestamp) / 24.0 as days_since_service",
        "reads the clock",
        "as_of()",
    ),
    auto(
        f"{HISTORY}.sql",
        "group by p.tenant_id, p.customer_id",
        "group by p.tenant_id,",
        "must appear in the GROUP BY",
        "Correct the SQL",
        "select p.tenant_id, p.customer_id,",
    ),
    auto(
        f"{HISTORY}.sql",
        "select p.tenant_id, p.customer_id,",
        "select p.tenant_id, p.customer_id as customer,",
        "but not customer_id",
        "Add the column",
        "with visit as (",
    ),
    auto("features/vehicle.sql", "from vehicles", "from history.sales", "only states have a history", "Read sales"),
    # consents are no feature
    auto(
        RELATION,
        SERVED,
        f"{SERVED}\nleft join customers c using (tenant_id, customer_id)\nwhere c.consent",
        "reads customers.consent",
        "lists ask for consents",
        "where c.consent",
    ),
    auto(
        RELATION,
        "from sales\n",
        "from sales\n    where customer_id in (select customer_id from history.customers where consent)\n",
        "expected no consent in a feature",
        "Remove it from the SQL",
        "from history.customers",
    ),
    # rules
    auto(RULES, "action: suppress", "action: supress", "expected 'suppress', 'require', 'boost' or 'review'", "Write"),
    auto(RULES, "    models: [buy]", "    model: [buy]", "did you mean models?", "Correct the field"),
    auto(RULES, "models: [buy]", "models: [by]", "did you mean buy?", "Correct the name"),
    auto(RULES, "models: [buy]", "models: [buy]\n    by: 2", "by: a boost needs the factor", "Correct", "by: 2"),
    auto(RULES, "- name: visited_recently", "- name: bought_recently", "stands there more than once", "Correct", RULED),
    auto(RULES, "from sales where", "from sale where", "did you mean sales?", "Correct the name"),
    auto(RULES, "from sales where", "from outcome.sales where", "may see the label window", "Read sales"),
    auto(RULES, "where sold_on >=", "where sold_at >=", '"sold_at" not found', "Correct the name"),
    auto(
        RULES, "distinct tenant_id, customer_id from sales", "customer_id from sales", "not tenant_id", "Add the column"
    ),
    auto(RULES, "as_of() - interval 30 day", "today() - interval 30 day", "reads the clock", "as_of()"),
    # destinations
    auto(GOOGLE, "channel: ads", "channel: advert", "expected 'mail', 'email', 'phone' or 'ads'", "Write one"),
    auto(GOOGLE, "mode: delta", "mod: delta", "did you mean mode?", "Correct the field"),
    auto(GOOGLE, "match_on: [Email, Phone]", "match_on: [EMail, Phone]", "match_on: no column EMail", "Correct"),
    auto(GOOGLE, "source: customers.email", "source: customer.email", "did you mean customers?", "Correct the name"),
    auto(GOOGLE, "source: customers.email", "source: customers.mail", "did you mean email?", "Correct the name"),
    auto(GOOGLE, "source: customers.email", "source: sales.vin", "is an event dataset", "Read one of"),
    auto(GOOGLE, "source: customers.email", "source: score.email", "expected one of score.tenant_id", "Correct"),
    auto(GOOGLE, "normalise: email_google", "normalise: gmail", "expected 'trim'", "Write one"),
    auto(GOOGLE, "hash: sha256", "hash: md5", "expected 'sha256'", "Write one"),
    auto(GOOGLE, "name: google_ads", "name: google", "expected 'google_ads' as the file says", "Rename"),
    auto(GOOGLE, "name: Phone,", "name: Email,", "Email stands there more than once", "Correct", "columns:"),
    auto(
        "contracts/customers.yaml",
        "channels: [mail, email, phone, ads]",
        "channels: [mail, email, phone]",
        "no contract has a column with a consent for it",
        "Give the column the custom property consent",
        "channel: ads",
        GOOGLE,
    ),
    leads(PLAIN, "source: score.decile", "source: score.deciles", "expected one of score.tenant_id", "Correct"),
    leads(PLAIN, "source: score.decile", "source: leads.age", "is an event dataset", "the pack has none"),
    retail(PLAIN, "columns:", "colums:", "did you mean columns?", "Correct the field"),
    # models
    auto(BUY, TARGET, TARGET.replace("outcome.", ""), "reads no outcome", "outcome.sales"),
    auto(
        BUY,
        TARGET,
        TARGET.replace("outcome.sales", "outcome.customers"),
        "customers is a state dataset",
        "history.customers",
    ),
    auto(
        BUY, TARGET, TARGET.replace("outcome.sales", "outcome.sale"), "did you mean outcome.sales?", "Correct the name"
    ),
    auto(BUY, TARGET, TARGET.replace("tenant_id, ", ""), "not tenant_id", "Add the column"),
    auto(
        BUY,
        "horizon_days: 90\n",
        "horizon_days: 90\ngap_days: 90\n",
        "expected fewer than horizon_days",
        "Correct",
        "name: buy",
    ),
    auto(BUY, "horizon_days: 90\n", "horizon_days: ninety\n", "valid integer", "Correct"),
    auto(BUY, "horizon_days: 90\n", "horizon_day: 90\n", "did you mean horizon_days?", "Correct the field"),
    auto(
        BUY,
        "features: [vehicle, service_history, relation, dealer]",
        "features: [vehicles, service_history, relation, dealer]",
        "did you mean vehicle?",
        "Correct the name",
    ),
    auto(BUY, "every_days: 97,", "every_days: 97, every_months: 3,", "one of them", "Correct"),
    auto(BUY, "family: hist_gradient_boosting", "family: gradient_boosting", "is 'gradient_boosting'", "Write one"),
    auto(BUY, "max_leaf_nodes: 8", "max_leaves: 8", "max_leaves", "Correct the parameter"),
    auto(BUY, "  - name: region\n", "  - name: tenure\n", "tenure stands there more than once", "Correct", "slices:"),
    auto(BUY, "left(postcode, 1) as slice", "left(postcode, 1) as part", "not slice", "Add the column"),
    auto(BUY, "left(postcode, 1) as slice", "left(postcod, 1) as slice", '"postcod" not found', "Correct the name"),
    auto(BUY, "max_own_models: 8", "max_own_model: 8", "did you mean max_own_models?", "Correct the field"),
    auto(BUY, "name: buy", "name: buyers", "expected 'buy' as the file says", "Rename"),
    auto(BUY, "rule: one_standard_error", "rule: two_standard_errors", "'one_standard_error' or 'best'", "Write one"),
    leads(SUBSCRIBE, "newest: [6, 24]", "newest: [6, 25]", "above as_of_count 24", "Lower newest"),
    leads(SUBSCRIBE, "auc_floor: 0.5,", "auc_floor: 0.4,", "gates.auc_floor", "Correct"),
    leads(SUBSCRIBE, "where subscribed", "where subscribe", '"subscribe" not found', "Correct the name"),
    leads("features/lead.sql", "from population p", "from populatin p", "did you mean population?", "Correct the name"),
    retail(PURCHASE, "features: [purchase_history]", "features: []", "no group", "Name one"),
    retail(PURCHASE, "draws: 12", "draws: 0", "greater than or equal to 1", "Correct"),
    retail(PURCHASE, "cadence: {", "cadence: {day: 31, ", "less than or equal to 28", "Correct"),
]


def planted_in(plant: Plant) -> dict[str, str]:
    files = dict(pack_files(plant.pack))
    assert plant.old in files[plant.file], plant
    files[plant.file] = files[plant.file].replace(plant.old, plant.new, 1)
    return files


def line_of(text: str, part: str) -> int:
    assert part in text, part
    return text[: text.rindex(part) if text.count(part) == 1 else text.index(part)].count("\n") + 1


@pytest.mark.parametrize("plant", PLANTED, ids=str)
def test_a_planted_mistake_is_told_by_file_line_and_remedy(plant: Plant) -> None:
    files = planted_in(plant)
    file = plant.told_in or plant.file
    found = check_pack(files, plant.pack, DuckDbSql)

    wanted = line_of(files[file], plant.at or plant.new.splitlines()[0] if plant.new or plant.at else "schema:")
    told = [mistake for mistake in found if mistake.file == file and plant.said in mistake.said]
    assert told, "\n".join(map(str, found))
    assert any(mistake.line == wanted for mistake in told), (wanted, [str(mistake) for mistake in told])
    assert any(plant.remedy in mistake.remedy for mistake in told), [str(mistake) for mistake in told]


@pytest.mark.parametrize("pack", pack_names())
def test_a_pack_that_ships_has_no_mistake(pack: str) -> None:
    assert check_pack(pack_files(pack), pack, DuckDbSql) == []


def test_every_mistake_of_a_pack_is_told_at_once_within_ten_seconds() -> None:
    """One plant for each file and text, so that the plants do not undo one another."""
    chosen: list[Plant] = []
    files = dict(pack_files("automotive"))
    for plant in PLANTED:
        fits = plant.pack == "automotive" and plant.file != "pack.yaml" and plant.old in files[plant.file]
        if fits and not any(plant.file == other.file and plant.old == other.old for other in chosen):
            files[plant.file] = files[plant.file].replace(plant.old, plant.new, 1)
            chosen.append(plant)
    begin = time.monotonic()
    found = check_pack(files, "automotive", DuckDbSql)
    assert time.monotonic() - begin < 10
    told = [plant for plant in chosen if any(plant.said in mistake.said for mistake in found)]
    # a broken contract hides what only a query would show, and a broken YAML what only its classes would
    assert len(told) >= 10
    assert {plant.told_in or plant.file for plant in chosen if plant.file.endswith(".yaml")} <= {
        mistake.file for mistake in found
    }


def test_two_mistakes_of_one_contract_are_both_told() -> None:
    files = dict(pack_files("retail"))
    files[INVOICES] = (
        files[INVOICES].replace("pattern: '[0-9]+'", "pattern: '[0-9'").replace("maxLength: 20", "maxLength: x")
    )
    told = [mistake for mistake in check_pack(files, "retail", DuckDbSql) if mistake.file == INVOICES]
    assert [mistake.said.partition(":")[0] for mistake in told] == ["stock_code", "customer_id"]


def test_the_command_prints_messages_only_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "automotive"
    for name, text in planted_in(PLANTED[0]).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr("sys.argv", ["check", str(folder)])
    assert main() == 1
    said = "pack.yaml:1: name is 'cars', but the folder is 'automotive'. Rename one of the two."
    assert capsys.readouterr().out.splitlines() == [said, f"{folder}: 1 mistakes"]


def test_a_broken_pack_does_not_keep_the_next_one_from_being_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/pack.yaml").write_text("name: torn\nmodels: [a, b\n")
    monkeypatch.setattr("sys.argv", ["check", str(tmp_path / "torn"), "leads"])
    assert main() == 1
    torn, count, whole = capsys.readouterr().out.splitlines()
    assert torn.startswith("pack.yaml:2: not YAML: ")
    assert count == f"{tmp_path / 'torn'}: 1 mistakes"
    assert whole.startswith("leads: no mistake in ")


def test_there_are_sixty_plants_of_every_file_kind() -> None:
    assert len(PLANTED) >= 60
    assert {plant.file.partition("/")[0] for plant in PLANTED} == {
        "pack.yaml",
        "contracts",
        "features",
        "models",
        "identity.yaml",
        "rules.yaml",
        "destinations",
    }


def test_a_mistake_is_told_with_its_place() -> None:
    assert str(Mistake("a.yaml", 3, "b is c", "Do d.")) == "a.yaml:3: b is c. Do d."
    assert str(Mistake("a.yaml", None, "missing", "Write it.")) == "a.yaml: missing. Write it."


def told_in_folder(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the command prints of a folder, without the count at the end."""
    monkeypatch.setattr("sys.argv", ["check", str(folder)])
    assert main() == 1
    return capsys.readouterr().out.splitlines()[:-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The pack `leads` in a folder of its own."""
    found = tmp_path / "leads"
    for name, text in pack_files("leads").items():
        (found / name).parent.mkdir(parents=True, exist_ok=True)
        (found / name).write_text(text)
    return found


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("latin-1", "features/lead.yaml:5: byte 0xfc is not UTF-8"), ("utf-16", "features/lead.yaml:1: is UTF-16")],
)
def test_a_file_of_another_encoding_is_told_with_its_name_and_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, encoding: str, said: str
) -> None:
    path = folder / "features/lead.yaml"
    path.write_bytes(path.read_text().replace("administration", "Büro", 1).encode(encoding))
    assert told_in_folder(folder, capsys, monkeypatch) == [f"{said}; expected UTF-8. Save the file as UTF-8."]


def test_a_file_of_a_like_ending_is_told_to_be_renamed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "features/lead.yaml").rename(folder / "features/lead.yml")
    (folder / "features/calling_list.sql").rename(folder / "features/calling_list.SQL")
    said = told_in_folder(folder, capsys, monkeypatch)
    assert "features/lead.yml: is not read; expected the ending .yaml. Rename it to lead.yaml." in said
    assert "features/calling_list.SQL: is not read; expected the ending .sql. Rename it to calling_list.sql." in said


def test_marks_of_order_and_ends_of_lines_of_windows_are_no_mistake(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    files, unread = read_folder(folder)
    assert [*unread, *check_pack(files, "leads", DuckDbSql)] == []


@pytest.mark.parametrize("gone", [True, False], ids=["missing", "empty"])
def test_a_missing_and_an_empty_query_are_told_once(gone: bool) -> None:
    files = dict(pack_files("leads"))
    if gone:
        del files["features/lead.sql"]
    else:
        files["features/lead.sql"] = " \n"
    [told] = [mistake for mistake in check_pack(files, "leads", DuckDbSql) if mistake.file == "features/lead.sql"]
    assert told.said.startswith("missing" if gone else "group: empty; expected one SELECT")
