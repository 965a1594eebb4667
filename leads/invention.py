"""Invents leads, for the demo and for measurements: nobody of them exists.

Numbers lie in 555 exchanges of assigned US area codes, e-mail addresses at example domains. A lead
is a function of the seed and its index, so files can be cut disjoint or overlapping at will, and no
two indexes share a number.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

HEADER = (
    "phone,email,first_name,last_name,city,state,zip,consent_at,consent_wording,consent_url,"
    "external_ref,source,occupation"
)
# Zone, state, area codes | ZIP and city, …
REGIONS = """
E CT 203 475 860 959 | 06112 Hartford; 06905 Stamford; 06705 Waterbury
E DC 202 771 | 20015 Washington; 20009 Washington
E DE 302 | 19806 Wilmington; 19713 Newark; 19904 Dover
E FL 239 305 321 352 386 407 561 656 689 | 33165 Miami; 32821 Orlando; 32220 Jacksonville
E GA 229 404 470 478 678 706 762 770 912 | 30328 Atlanta; 31410 Savannah; 31211 Macon
E IN 260 317 463 574 765 812 930 | 46229 Indianapolis; 46814 Fort Wayne; 46617 South Bend
E KY 502 606 859 | 40218 Louisville; 40510 Lexington; 41014 Covington
E MA 339 351 413 508 617 774 781 857 978 | 02118 Boston; 01118 Springfield; 01607 Worcester
E MD 227 240 301 410 443 667 | 21216 Baltimore; 20904 Silver Spring; 21405 Annapolis
E ME 207 | 04103 Portland; 04401 Bangor; 04240 Lewiston
E MI 231 248 269 313 517 586 616 734 810 | 48217 Detroit; 49512 Grand Rapids; 48915 Lansing
E NC 252 336 472 704 743 828 910 919 980 | 28226 Charlotte; 27609 Raleigh; 27408 Greensboro
E NH 603 | 03103 Manchester; 03063 Nashua; 03867 Rochester
E NJ 201 551 609 640 732 848 856 862 908 | 08619 Trenton; 07510 Paterson; 07106 Newark
E NY 212 315 332 347 363 516 518 585 607 | 10103 New York; 11223 Brooklyn; 14215 Buffalo
E OH 216 220 234 283 326 330 380 419 440 | 45229 Cincinnati; 43217 Columbus; 44119 Cleveland
E PA 215 223 267 272 412 445 484 570 582 | 19130 Philadelphia; 15223 Pittsburgh; 16507 Erie
E RI 401 | 02906 Providence; 02920 Cranston; 02888 Warwick
E SC 803 839 843 854 864 | 29209 Columbia; 29407 Charleston; 29609 Greenville
E TN 423 865 | 37920 Knoxville; 37410 Chattanooga; 37664 Kingsport
E VA 276 434 540 571 703 757 804 826 948 | 23227 Richmond; 22309 Alexandria; 23510 Norfolk
E VT 802 | 05408 Burlington; 05701 Rutland; 05602 Montpelier
E WV 304 681 | 25312 Charleston; 25703 Huntington; 25404 Martinsburg
C AL 205 251 256 334 659 938 | 35217 Birmingham; 36610 Mobile; 36111 Montgomery
C AR 479 501 870 | 72209 Little Rock; 72904 Fort Smith; 72401 Jonesboro
C FL 448 850 | 32506 Pensacola; 32405 Panama City; 32571 Milton
C IA 319 515 563 641 712 | 50314 Des Moines; 51106 Sioux City; 52404 Cedar Rapids
C IL 217 224 309 312 331 447 464 618 630 | 60631 Chicago; 61107 Rockford; 61606 Peoria
C IN 219 | 46406 Gary; 46324 Hammond
C KS 316 620 785 913 | 67215 Wichita; 66612 Topeka; 66106 Kansas City
C KY 270 364 | 42103 Bowling Green; 42303 Owensboro; 42003 Paducah
C LA 225 318 337 504 985 | 70125 New Orleans; 70814 Baton Rouge; 71108 Shreveport
C MN 218 320 507 612 651 763 952 | 55426 Minneapolis; 55116 Saint Paul; 55807 Duluth
C MO 314 417 557 573 636 660 816 | 64132 Kansas City; 63124 Saint Louis; 64055 Independence
C MS 228 601 662 769 | 39209 Jackson; 39531 Biloxi; 39702 Columbus
C ND 701 | 58504 Bismarck; 58103 Fargo; 58202 Grand Forks
C NE 308 402 531 | 68127 Omaha; 68517 Lincoln; 68123 Bellevue
C OK 405 539 572 580 918 | 73130 Oklahoma City; 74126 Tulsa; 73013 Edmond
C SD 605 | 57106 Sioux Falls; 57401 Aberdeen; 57006 Brookings
C TN 615 629 731 901 931 | 38119 Memphis; 37213 Nashville; 38571 Crossville
C TX 210 214 254 281 325 346 361 409 430 | 77050 Houston; 78232 San Antonio; 75230 Dallas
C WI 262 414 534 608 715 920 | 53216 Milwaukee; 53714 Madison; 54304 Green Bay
M AZ 480 520 602 623 928 | 85031 Phoenix; 85735 Tucson; 85207 Mesa
M CO 303 719 720 970 983 | 80228 Denver; 80918 Colorado Springs; 80015 Aurora
M ID 208 986 | 83708 Boise; 83404 Idaho Falls; 83686 Nampa
M MT 406 | 59803 Missoula; 59105 Billings; 59404 Great Falls
M NM 505 575 | 87111 Albuquerque; 88007 Las Cruces; 87506 Santa Fe
M TX 915 | 79915 El Paso; 79918 Fort Bliss; 79821 Anthony
M UT 385 435 801 | 84114 Salt Lake City; 84404 Ogden; 84604 Provo
M WY 307 | 82604 Casper; 82007 Cheyenne; 82718 Gillette
P CA 209 213 279 310 323 341 350 408 415 | 90034 Los Angeles; 92117 San Diego; 94121 San Francisco
P CA 424 442 510 530 559 562 619 626 628 | 93722 Fresno; 95823 Sacramento; 94621 Oakland
P NV 702 725 775 | 89134 Las Vegas; 89510 Reno; 89081 North Las Vegas
P OR 458 503 541 971 | 97219 Portland; 97304 Salem; 97007 Beaverton
P WA 206 253 360 425 509 564 | 98131 Seattle; 98418 Tacoma; 99208 Spokane
A AK 907 | 99515 Anchorage; 99712 Fairbanks; 99801 Juneau
A HI 808 | 96819 Honolulu; 96720 Hilo; 96701 Aiea
"""
# Of 10,000 people, as many as live in the Eastern, Central, Mountain, Pacific and last zones.
PEOPLE = {"E": 4700, "C": 3000, "M": 700, "P": 1500, "A": 100}
CYCLE = sum(PEOPLE.values())

_FIRST_NAMES = """
Ada Alma Amir Ana Andre Asha Ben Bianca Carl Carmen Chloe Dalia Dario Devon Elena Eli Emil Esme
Felix Fiona Gail Gus Hana Hugo Ida Imani Ines Ivan Jade Jonas Juan June Kai Kira Lana Leo Lena
Luis Mabel Marco Maya Milo Mina Nadia Nico Nora Olga Omar Otis Pablo Petra Quinn Rafa Remy Rosa
Ruben Sana Selma Theo Tessa Uma Vera Wes Yara
"""
FIRST_NAMES = tuple(_FIRST_NAMES.split())
_LAST_NAMES = """
Abbott Acosta Baker Banks Barr Bell Boone Burke Carver Castro Chen Cole Cruz Dalton Diaz Dunn
Ellis Engel Farmer Flores Fox Garza Gibson Gray Hale Hart Haynes Ibarra Irwin Jensen Jordan
Keller Kim Klein Lamb Lane Lopez Marsh Mason Mejia Mills Nash Nguyen Novak Okafor Ortiz Park
Patel Pierce Quinn Ramos Reed Rivera Sato Shaw Silva Stone Tran Vance Vega Walsh Webb Young
Zamora
"""
LAST_NAMES = tuple(_LAST_NAMES.split())
DOMAINS = ("example.com", "example.org", "example.net")
SOURCES = ("partner-north", "partner-south", "web-form", "job-fair")
OCCUPATIONS = (
    "nurse", "driver", "cook", "welder", "cashier", "electrician", "picker", "teacher"
)  # fmt: skip
WORDING = "I agree to receive job alerts by text message"
PAGE = "https://jobs.example.com/join"
OLDEST_CONSENT = timedelta(days=60)

MAGIC_ENDINGS = 15  # 0001 to 0015 tell the simulator how to behave
LINES = 10_000 - MAGIC_ENDINGS
_STEP = 3_937  # shares no factor with LINES, so that its multiples reach every line once
BLOCK = 1_000


class CannotInvent(ValueError):
    """More is asked for than there are numbers; the message says how many there are."""


@dataclass(frozen=True, slots=True)
class Region:
    zone: str
    state: str
    area_codes: tuple[str, ...]
    cities: tuple[tuple[str, str], ...]  # city and ZIP


@dataclass(frozen=True, slots=True)
class Place:
    """One of the 10,000 places of a cycle: the `rank`-th of `per_cycle` in its area code."""

    region: Region
    area_code: str
    rank: int
    per_cycle: int
    offset: int


class Inventor:
    """Invents the leads of one seed. `magic` and `bad` are shares of the rows, from 0 to 1."""

    def __init__(self, seed: int, *, as_of: datetime, magic: float = 0, bad: float = 0) -> None:
        self._seed = seed
        self._as_of = as_of.astimezone(UTC).replace(microsecond=0)
        self._magic, self._bad = magic, bad
        self._regions = read_regions()
        self._codes = [(region, code) for region in self._regions for code in region.area_codes]
        self._cycle = self._make_cycle()
        self.most = min(LINES // place.per_cycle for place in self._cycle) * CYCLE
        self.most_magic = MAGIC_ENDINGS * len(self._codes)

    def lines(self, count: int, *, first: int = 0) -> Iterator[str]:
        """The header and `count` leads from index `first`, as lines of CSV. Raises CannotInvent."""
        end = first + count
        if end > self.most:
            raise CannotInvent(f"There are {self.most:,} numbers to invent; {end:,} are asked for.")
        if (wanted := int(end * self._magic)) > self.most_magic:
            raise CannotInvent(
                f"There are {self.most_magic:,} numbers with a magic ending;"
                f" {wanted:,} are asked for."
            )
        return self._lines(first, end)

    def _lines(self, first: int, end: int) -> Iterator[str]:
        yield HEADER + "\n"
        for block in range(first // BLOCK, (end - 1) // BLOCK + 1):
            begin = block * BLOCK
            dice = random.Random(f"{self._seed}:{block}")  # noqa: S311 - not for secrets
            rolls = [dice.getrandbits(96) for _ in range(min(BLOCK, end - begin))]
            for index, roll in islice(enumerate(rolls, begin), max(0, first - begin), None):
                yield self._line(index, roll)

    def _line(self, index: int, roll: int) -> str:
        region, number = self._number(index)
        name, surname = FIRST_NAMES[roll & 63], LAST_NAMES[roll >> 6 & 63]
        city, state, zip_code = self._home(region, roll >> 12)
        area, line = number[:3], number[3:]
        styles = (f"+1{area}555{line}", f"({area}) 555-{line}", f"{area}-555-{line}",
                  f"1{area}555{line}")  # fmt: skip
        email = ""
        if roll >> 28 & 127 < 77:
            domain = DOMAINS[(roll >> 35 & 1023) % 3]
            email = f"{name}.{surname}.{self._seed}.{index}@{domain}".lower()
        age = (roll >> 45 & 0xFFFFFF) % int(OLDEST_CONSENT.total_seconds())
        consent_at = (self._as_of - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
        cells = [
            styles[roll >> 69 & 3], email, name, surname, city, state, zip_code, consent_at,
            WORDING, PAGE, f"L{self._seed}-{index}", SOURCES[roll >> 71 & 3],
            OCCUPATIONS[roll >> 73 & 7],
        ]  # fmt: skip
        if (nth := _nth(index, self._bad)) is not None:
            SPOILERS[nth % len(SPOILERS)](cells)
        return ",".join(cells) + "\n"

    def _number(self, index: int) -> tuple[Region, str]:
        """The region, and area code and last four digits of this index and no other."""
        if (nth := _nth(index, self._magic)) is not None:
            turn, ending = divmod(nth, MAGIC_ENDINGS)
            region, code = self._codes[(turn + ending * 17) % len(self._codes)]
            return region, f"{code}{ending + 1:04d}"
        cycle, at = divmod(index, CYCLE)
        place = self._cycle[at]
        nth = cycle * place.per_cycle + place.rank
        line = (nth * _STEP + place.offset) % LINES
        return place.region, f"{place.area_code}{line and line + MAGIC_ENDINGS:04d}"

    def _home(self, region: Region, roll: int) -> tuple[str, str, str]:
        """Most live where their number is from, some moved, of some nothing is known."""
        fate = roll & 127
        if fate < 10:
            return "", "", ""
        if fate < 18:
            region = self._regions[(roll >> 7 & 31) % len(self._regions)]
        city, zip_code = region.cities[(roll >> 12 & 15) % len(region.cities)]
        return city, region.state, zip_code

    def _make_cycle(self) -> list[Place]:
        chosen: list[tuple[Region, str]] = []
        for zone, people in PEOPLE.items():
            codes = [(region, code) for region, code in self._codes if region.zone == zone]
            chosen += [codes[n % len(codes)] for n in range(people)]
        per_cycle = Counter(code for _, code in chosen)
        random.Random(self._seed).shuffle(chosen)  # noqa: S311 - not for secrets
        ranks: Counter[str] = Counter()
        places = []
        for region, code in chosen:
            offset = 37 * int(code) + self._seed
            places.append(Place(region, code, ranks[code], per_cycle[code], offset))
            ranks[code] += 1
        return places


def read_regions() -> list[Region]:
    return [_region(line) for line in REGIONS.strip().splitlines()]


def _region(line: str) -> Region:
    codes, _, cities = line.partition(" | ")
    zone, state, *area_codes = codes.split()
    pairs = (text.partition(" ") for text in cities.split("; "))
    return Region(zone, state, tuple(area_codes), tuple((city, code) for code, _, city in pairs))


def _nth(index: int, share: float) -> int | None:
    """Spreads a share evenly over the indexes: the how-manieth of it this one is, or None."""
    before = int(index * share)
    return before if int((index + 1) * share) > before else None


def _toll_free(cells: list[str]) -> None:
    cells[0] = f"+1800555{cells[0][-4:]}"


def _impossible(cells: list[str]) -> None:
    cells[0] = f"555-{cells[0][-4:]}"


def _no_consent(cells: list[str]) -> None:
    cells[7] = ""


def _bad_email(cells: list[str]) -> None:
    cells[1] = f"{cells[2]}@@example".lower()


def _short_row(cells: list[str]) -> None:
    del cells[-1]


SPOILERS: tuple[Callable[[list[str]], None], ...] = (
    _toll_free,
    _impossible,
    _no_consent,
    _bad_email,
    _short_row,
)
