"""Who is whom among the customers: persons with two numbers, households, and keys that mislead.

The simulation knows customers only. Here some of them become one person with two numbers, who drives a vehicle on each,
or a household that takes each other's vehicles to the workshop. Their e-mail, telephone and postcode say so as badly as
a dealer's files do. What is true is written into the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.stack.automotive.simulate import World

# How the second number of a person is written, and by which key it can be found
DIRT = ("email_case", "email_plus", "phone_spelling", "nickname", "umlaut", "nothing_shared")
# Strangers whose keys say that they are one: a number that was given to somebody else, a couple's one telephone
WRONG = ("recycled_phone", "couple_with_one_phone")
TWICE = 0.03  # of a dealer's customers are the second number of a person
TOGETHER = 0.10  # of a dealer's customers live in a household with others of the dealer's
LENDS = 0.5  # of a household member's visits are with the vehicle of the household's first member
MISTAKEN = 0.004  # of a dealer's customers have the telephone number of a stranger
DEALERS_OWN = 8  # customers for whom the dealer wrote its own telephone number
NO_EMAIL = 0.01  # of the customers have a made-up address instead of an e-mail
AREAS = 40  # postcodes around a dealer


@dataclass(frozen=True, slots=True)
class Pair:
    """Two customers of a dealer and what is planted between them. `same_person` and `same_household` are the truth."""

    tenant: int
    first: int
    second: int
    kind: str
    same_person: bool
    same_household: bool


@dataclass
class People:
    """Per customer what a file says of them, and the truth: a number for each person and for each household."""

    email: list[str]
    phone: list[str]
    postcode: list[str]
    person: Any
    household: Any
    lender: Any  # the customer whose vehicle a customer's visits may be with
    pairs: list[Pair] = field(default_factory=list)


def people(world: World, *, seed: int) -> People:
    """Make persons, households and their keys. Equal seeds give equal people."""
    random = np.random.default_rng(seed)
    count = len(world.joined)
    itself = np.arange(count)
    area = random.integers(0, AREAS, count)
    found = People(
        email=[f"c{number}@example.com" for number in range(count)],
        phone=[_phone(number) for number in range(count)],
        postcode=[f"{10_000 + 1_000 * int(of) + int(place)}" for of, place in zip(world.tenant, area, strict=True)],
        person=itself.copy(),
        household=itself.copy(),
        lender=itself.copy(),
    )
    for tenant in range(len(world.dealers)):
        free = random.permutation(np.flatnonzero(world.tenant == tenant)).tolist()
        size = len(free)
        _households(found, tenant, free, round(size * TOGETHER), random)
        for number in range(round(size * TWICE)):
            _twice(found, tenant, free.pop(), free.pop(), DIRT[number % len(DIRT)])
        for _ in range(round(size * MISTAKEN)):
            first, second = free.pop(), free.pop()
            found.phone[second] = found.phone[first]
            found.pairs.append(Pair(tenant, first, second, "recycled_phone", False, False))
        if len(free) > 10 * DEALERS_OWN:
            for _ in range(DEALERS_OWN):
                found.phone[free.pop()] = _phone(7_654_300 + tenant)
        for _ in range(round(size * NO_EMAIL)):
            found.email[free.pop()] = f"noemail@{world.dealers[tenant].replace('_', '-')}.example.com"
    return found


def _households(found: People, tenant: int, free: list[int], members: int, random: Any) -> None:
    """Take households of two to four from `free` until so many customers live in one."""
    while members >= 2:
        size = min(members, int(random.choice([2, 2, 2, 3, 4])))
        first, *others = (free.pop() for _ in range(size))
        members -= size
        for number, other in enumerate(others):
            found.household[other] = found.household[first]
            found.lender[other] = first
            found.postcode[other] = found.postcode[first]
            kind = "household"
            if number == 0 and random.random() < 0.15:
                kind = "couple_with_one_phone"
                found.phone[other] = found.phone[first]
            found.pairs.append(Pair(tenant, first, other, kind, False, True))


def _twice(found: People, tenant: int, first: int, second: int, dirt: str) -> None:
    """Make the second customer another number of the first one's person, written with a kind of dirt."""
    found.person[second] = found.person[first]
    found.household[second] = found.household[first]
    found.postcode[second] = found.postcode[first]
    name = found.email[first] = f"anna.k{first}@example.com"
    if dirt == "email_case":
        found.email[second] = name.replace("anna.k", "Anna.K")
    elif dirt == "email_plus":
        found.email[second] = name.replace("@", "+auto@")
    elif dirt == "phone_spelling":
        found.phone[second] = _spelt_otherwise(first)
    elif dirt == "nickname":
        found.email[first], found.email[second] = f"robert.k{first}@example.com", f"bob.k{first}@example.com"
        found.phone[second] = _spelt_otherwise(first)
    elif dirt == "umlaut":
        found.email[first], found.email[second] = f"joerg.k{first}@example.com", f"jorg.k{first}@example.com"
        found.phone[second] = _spelt_otherwise(first)
    found.pairs.append(Pair(tenant, first, second, dirt, True, True))


def _phone(number: int) -> str:
    return f"+4930{number:07d}"


def _spelt_otherwise(number: int) -> str:
    """The same telephone number as people write it. All forms are E.164 after the contract's normalising."""
    digits = f"{number:07d}"
    forms = (
        f"+49 30 {digits[:3]} {digits[3:]}",
        f"0049-30-{digits}",
        f"+49 (0)30 {digits}",
        f"030/{digits}",
    )
    return forms[number % len(forms)]
