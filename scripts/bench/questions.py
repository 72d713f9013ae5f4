"""Questions with known answers, made so that a model of 135 million parameters is right about some of them.

One source per kind of question, each from lists in this file and a fixed seed, as lines that `hearth calibrate` reads.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Line = dict[str, Any]

_SEED = 20_261_128
_CAPITALS = """France Paris|Germany Berlin|Italy Rome|Spain Madrid|Portugal Lisbon|Austria Vienna|Belgium Brussels|Norway Oslo
Sweden Stockholm|Denmark Copenhagen|Finland Helsinki|Poland Warsaw|Hungary Budapest|Greece Athens|Turkey Ankara|Russia Moscow
Ukraine Kyiv|Ireland Dublin|Iceland Reykjavik|Netherlands Amsterdam|Switzerland Bern|Romania Bucharest|Bulgaria Sofia
Serbia Belgrade|Croatia Zagreb|Slovenia Ljubljana|Slovakia Bratislava|Albania Tirana|Estonia Tallinn|Latvia Riga
Lithuania Vilnius|Malta Valletta|Cyprus Nicosia|Egypt Cairo|Morocco Rabat|Tunisia Tunis|Algeria Algiers|Libya Tripoli
Kenya Nairobi|Ethiopia Addis_Ababa|Nigeria Abuja|Ghana Accra|Senegal Dakar|Uganda Kampala|Tanzania Dodoma|Rwanda Kigali
Zambia Lusaka|Zimbabwe Harare|Angola Luanda|Mozambique Maputo|Namibia Windhoek|Botswana Gaborone|Madagascar Antananarivo
Somalia Mogadishu|Sudan Khartoum|Chad N'Djamena|Mali Bamako|Niger Niamey|Cameroon Yaounde|Gabon Libreville|China Beijing
Japan Tokyo|India New_Delhi|Pakistan Islamabad|Bangladesh Dhaka|Nepal Kathmandu|Bhutan Thimphu|Thailand Bangkok|Vietnam Hanoi
Laos Vientiane|Cambodia Phnom_Penh|Malaysia Kuala_Lumpur|Indonesia Jakarta|Philippines Manila|Singapore Singapore
Mongolia Ulaanbaatar|Kazakhstan Astana|Uzbekistan Tashkent|Kyrgyzstan Bishkek|Tajikistan Dushanbe|Turkmenistan Ashgabat
Afghanistan Kabul|Iran Tehran|Iraq Baghdad|Syria Damascus|Lebanon Beirut|Jordan Amman|Israel Jerusalem|Kuwait Kuwait_City
Qatar Doha|Oman Muscat|Yemen Sanaa|Georgia Tbilisi|Armenia Yerevan|Azerbaijan Baku|Canada Ottawa|Mexico Mexico_City
Cuba Havana|Jamaica Kingston|Haiti Port-au-Prince|Guatemala Guatemala_City|Honduras Tegucigalpa|Nicaragua Managua
Panama Panama_City|Colombia Bogota|Venezuela Caracas|Ecuador Quito|Peru Lima|Bolivia Sucre|Chile Santiago
Argentina Buenos_Aires|Uruguay Montevideo|Paraguay Asuncion|Brazil Brasilia|Guyana Georgetown|Suriname Paramaribo
Australia Canberra|Fiji Suva|Samoa Apia|Tonga Nuku'alofa"""
_OPPOSITES = """hot cold|big small|tall short|fast slow|up down|left right|day night|black white|old new|rich poor|happy sad
open closed|early late|hard soft|heavy light|high low|full empty|wet dry|strong weak|loud quiet|true false|good bad|long short
near far|deep shallow|wide narrow|thick thin|clean dirty|young old|first last|start end|win lose|buy sell|love hate|push pull
inside outside|above below|front back|north south|east west|summer winter|friend enemy|war peace|life death|begin finish
remember forget|arrive leave|give take|ask answer|laugh cry|rise fall|alive dead|asleep awake|brave cowardly|calm nervous
cheap expensive|dark light|easy difficult|enter exit|fiction fact|forward backward|generous selfish|guilty innocent
humble proud|increase decrease|junior senior|major minor|maximum minimum|optimist pessimist|polite rude|public private
quick slow|rare common|rough smooth|safe dangerous|sharp blunt|simple complex|single married|sweet bitter|tight loose
top bottom|victory defeat|visible invisible|whole part|ancient modern|attack defend|borrow lend|build destroy|create destroy
accept reject|absent present|question answer|teacher student|hero villain"""
_KINDS = {
    "animal": "dog cat horse cow tiger lion rabbit eagle shark whale frog snake sheep goat monkey wolf bear fox deer duck",
    "fruit": "apple banana orange grape mango cherry pear peach plum lemon lime kiwi papaya melon apricot fig date guava",
    "colour": "red blue green yellow purple pink brown grey violet crimson turquoise beige maroon indigo scarlet",
    "tool": "hammer saw drill wrench screwdriver pliers chisel axe shovel rake file clamp level crowbar spade",
    "country": "France Brazil Japan Egypt Canada Kenya India Norway Chile Poland Vietnam Peru Italy Ghana Nepal",
}
_REVIEWS = (
    ("I {0} every minute of it and would see it again.", "enjoyed loved adored savoured"),
    ("The food was {0} and the staff were kind.", "wonderful delicious superb excellent"),
    ("A {0} book that I could not put down.", "brilliant gripping charming beautiful"),
    ("It works {0} and was worth every penny.", "perfectly flawlessly beautifully reliably"),
    ("What a {0} hotel, we felt at home at once.", "lovely charming splendid cosy"),
    ("The film was {0} and I left after an hour.", "boring dreadful tedious awful"),
    ("It broke after {0} and nobody answered my calls.", "a_day two_days one_week an_hour"),
    ("The soup was cold and the waiter was {0}.", "rude careless arrogant unfriendly"),
    ("A {0} story that wasted my evening.", "pointless dull confusing lifeless"),
    ("I {0} this phone, its battery dies by noon.", "regret hate dislike returned"),
)
_WORDS = """river stone lamp garden window paper yellow table engine cloud mirror forest bottle letter bridge candle ladder
pocket basket island harbour compass feather lantern meadow copper silver velvet thunder orchard"""


def sources() -> dict[str, list[Line]]:
    """Lines by source, each in a mixed order."""
    made: dict[str, Callable[[random.Random], list[Line]]] = {
        "adding": _adding,
        "adding tens": _adding_tens,
        "capitals": lambda _: _pairs(_CAPITALS, "What is the capital of {}?"),
        "opposites": lambda _: _pairs(_OPPOSITES, "What is the opposite of the word {}? Answer with one word."),
        "copying": _copying,
        "next number": _next_number,
        "kinds": _kinds,
        "reviews": _reviews,
    }
    found = {}
    for name, make in made.items():
        order = random.Random(f"{_SEED} {name}")
        lines = make(order)
        order.shuffle(lines)
        found[name] = [{"id": f"{name}/{number}", **line} for number, line in enumerate(lines)]
    return found


def _adding(_: random.Random) -> list[Line]:
    return [{"prompt": f"What is {a} + {b}?", "answer": str(a + b)} for a in range(1, 13) for b in range(1, 13)]


def _adding_tens(order: random.Random) -> list[Line]:
    pairs = [(order.randint(11, 60), order.randint(3, 39)) for _ in range(120)]
    return [{"prompt": f"What is {a} + {b}?", "answer": str(a + b)} for a, b in dict.fromkeys(pairs)]


def _pairs(table: str, words: str) -> list[Line]:
    found = [pair.split() for line in table.splitlines() for pair in line.split("|")]
    return [{"prompt": words.format(asked), "answer": answer.replace("_", " ")} for asked, answer in found]


def _copying(order: random.Random) -> list[Line]:
    words, lines = _WORDS.split(), []
    for number in range(120):
        chosen = " ".join(order.sample(words, 2 + number % 5))
        lines.append(
            {"prompt": f"Repeat these words and say nothing else: {chosen}", "answer": chosen, "match": "exact"}
        )
    return lines


def _next_number(order: random.Random) -> list[Line]:
    lines = []
    for _ in range(120):
        start, step = order.randint(1, 30), order.choice((1, 1, 2, 2, 5, 10))
        row = ", ".join(str(start + step * place) for place in range(4))
        lines.append({"prompt": f"Which number comes next: {row}?", "answer": str(start + 4 * step)})
    return lines


def _kinds(_: random.Random) -> list[Line]:
    names = list(_KINDS)
    ask = f"Is it one of these: {', '.join(names)}? Answer with that one word."
    return [
        {"prompt": f"What is a {word}? {ask}", "labels": names, "label": kind}
        for kind, words in _KINDS.items()
        for word in words.split()
    ]


def _reviews(_: random.Random) -> list[Line]:
    lines = []
    for place, (words, fillers) in enumerate(_REVIEWS):
        label = "positive" if place < len(_REVIEWS) // 2 else "negative"
        for filler in fillers.split():
            for ask in ("Is this review positive or negative?", "Positive or negative? Answer with one word."):
                text = words.format(filler.replace("_", " "))
                lines.append({"prompt": f"{text}\n{ask}", "labels": ["positive", "negative"], "label": label})
    return lines
