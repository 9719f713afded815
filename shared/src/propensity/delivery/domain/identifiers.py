"""Identifiers as destinations take them: how a value is normalised, and how it is hashed, as SQL.

A value that is not what the destination takes becomes NULL. tests/unit/delivery/test_identifiers.py has a table of
values with their sources.
"""

from __future__ import annotations

from propensity.pack.domain.destination_spec import DestinationColumn, Normalise

# blanks of every kind, also the ones that copy and paste bring
_TRIM = r"regexp_replace({}, '^[\s\x{{00A0}}\x{{200B}}\x{{FEFF}}]+|[\s\x{{00A0}}\x{{200B}}\x{{FEFF}}]+$', '', 'g')"
_EMAIL = r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+"
# ITU-T E.164: a plus, a country code that does not begin with 0, 15 digits at most
_E164 = r"\+[1-9][0-9]{6,14}"


def normalised(value: str, rule: Normalise | None) -> str:
    """Return SQL of a text expression, normalised; NULL where the value is empty or not of the rule's kind."""
    trimmed = _TRIM.format(f"({value})::varchar")
    match rule:
        case None:
            return f"({value})"
        case "trim":
            return _kept(trimmed)
        case "lower":
            return _kept(f"lower({trimmed})")
        case "email":
            return _matching(f"lower({trimmed})", _EMAIL)
        case "email_google":
            return _google(_matching(f"lower({trimmed})", _EMAIL))
        case "phone_e164":
            return _matching(_phone(trimmed), _E164)
        case "phone_digits":
            return f"ltrim({_matching(_phone(trimmed), _E164)}, '+')"
        case "postcode":
            return _kept(rf"upper(regexp_replace({trimmed}, '\s', '', 'g'))")
        case "name":
            return _kept(rf"lower(regexp_replace({trimmed}, '[^\pL\pN]', '', 'g'))")


def written_value(column: DestinationColumn, value: str) -> str:
    """Return SQL of what a file has in a column: the value normalised, and hashed where the column says so."""
    found = normalised(value, column.normalise)
    return f"sha256(({found})::varchar)" if column.hash else found


def _kept(value: str) -> str:
    return f"nullif({value}, '')"


def _matching(value: str, pattern: str) -> str:
    return f"case when regexp_full_match({value}, '{pattern}') then {value} end"


def _phone(trimmed: str) -> str:
    """SQL of a telephone number without the signs that people put between its digits."""
    return rf"regexp_replace({trimmed}, '[\s\x{{00A0}}()./-]', '', 'g')"


def _google(email: str) -> str:
    """SQL of an address as Google compares it: at its own domains dots and a +suffix of the local part do not count."""
    local, domain = f"split_part({email}, '@', 1)", f"split_part({email}, '@', 2)"
    plain = f"replace(split_part({local}, '+', 1), '.', '')"
    own = f"{domain} in ('gmail.com', 'googlemail.com')"
    return f"case when {own} then nullif({plain}, '') || '@' || {domain} else {email} end"
