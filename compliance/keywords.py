"""What a reply asks for: to stop, for help, to join, for more jobs, or nothing we know.

A wrong STOP costs one reader and a missed one breaks the law. So opting out is read generously and
opting in only from exact words; whatever holds a stop word without being clearly a STOP is held
for staff. Pure: the reply and the brand's words are all it sees, and it logs neither.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from functools import lru_cache
from itertools import pairwise

from rapidfuzz.distance import OSA

from compliance import keywords_phrases as phrases
from compliance import keywords_words as words

logger = logging.getLogger(__name__)


class Label(StrEnum):
    STOP = "stop"
    REVIEW = "review-stop"
    HELP = "help"
    JOIN = "join"
    MORE_JOBS = "more-jobs"
    NONE = "none"


class Weight(Enum):
    """How much a word says about stopping."""

    STOP = auto()  # held anywhere; a STOP when a line says nothing else
    ALONE = auto()  # a STOP when a line says nothing else
    HELD = auto()  # held anywhere
    DOUBTFUL = auto()  # held when a line says nothing else
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Meaning:
    weight: Weight
    word: str  # in its right spelling
    is_sure: bool = True  # not merely a slip away


# No reply needs more; of a longer one the two ends are read, and it is held at least.
HEAD, TAIL = 2000, 1000
OWN_TEXT_WORDS = 3  # a liked quote of fewer words need not be a message of ours
LONGEST_STOP = 14  # letters: UNSUBSCRIBE and three slips
WORD = re.compile(r"[^\W_]+")
SPELLED_OUT = re.compile(r"(?<!\S)\w(?: \w){2,}(?!\S)")
CLAUSE_END = re.compile(r"[.!?;,:()]+(?:\s+|$)|\s[-\u2013\u2014]+\s")
DOUBLED = re.compile(r"(.)\1+")
NUMBER_SIGN = re.compile(r"(wrong) ?#")
QUESTION_MARKS = re.compile(r"[\s\u00bf!]*\?[\s?\u00bf!]*")
STOP_SIGNS = re.compile("[\U0001f6d1\u26d4\U0001f6ab\U0001f595]")
# What a phone sends for a tap on a message: Loved "...", 👍 to "...", Le gustó "...".
REACTION = re.compile(
    r"\s*(liked|loved|laughed at|emphasi[sz]ed|questioned|disliked|reacted [^\w\s]{1,8} to"
    r"|removed an? [a-z ]{1,20} from|(?:no )?le gusto|le encanto"
    r"|[^\w\s\"\u201c\u00ab]{1,8} ?(?:to|a))"
    r"\s+(?:\u201c([^\u201c\u201d]*)\u201d|\"([^\"]*)\"|\u00ab([^\u00ab\u00bb]*)\u00bb)\s*"
)
DISLIKE = re.compile("disliked|no le gusto|\U0001f44e")
SIGNATURE = re.compile(
    r"\s*(?:>|-{2,}\s*$|(?:sent from|enviado desde|get outlook)(?!.*stop)|on .* wrote:\s*$)"
)

DROPPED = frozenset({"Mn", "Me", "Cf", "Cs", "Cc"})  # accents, invisible marks, half characters
BREAKS = frozenset("\n\r\t\x85")
APOSTROPHES = dict.fromkeys(map(ord, "'`\u00b4\u2018\u2019\u02bc\u2032\uff07"))
PLAIN = {**APOSTROPHES, **{code: None for code in range(32) if chr(code) not in BREAKS}, 127: None}
LOOKALIKES = str.maketrans(
    "\u0410\u0430\u0412\u0432\u0415\u0435\u0405\u0455\u0406\u0456\u0408\u0458\u041a\u043a\u041c\u043c"
    "\u041d\u043d\u041e\u043e\u0420\u0440\u0421\u0441\u0422\u0442\u0423\u0443\u0425\u0445\u041f\u043f"
    "\u0391\u03b1\u0392\u03b2\u0395\u03b5\u0397\u0399\u03b9\u039a\u03ba\u039c\u039d\u03bd\u039f\u03bf"
    "\u03a1\u03c1\u03a4\u03c4\u03a5\u03c5\u03a7\u03c7\u0131\u00d8\u00f8\u0141\u0142"
    "\ua731\u1d1b\u1d0f\u1d18\u1d00\u1d04\u1d07\u1d0b\u1d0d\u1d1c",
    "AaBbEeSsIiJjKkMmHhOoPpCcTtYyXxPpAaBbEeHIiKkMNvOoPpTtYuXxiOoLlstopacekmu",
) | {start + i: chr(65 + i) for start in (0x1F150, 0x1F170, 0x1F1E6) for i in range(26)}
DISGUISES = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b"})
SYMBOLS = str.maketrans({"$": "s", "@": "a"})

STOP_WORDS = words.STOP_ANYWHERE | words.STOP_ALONE
UNDOUBLED = {DOUBLED.sub(r"\1", word): word for word in STOP_WORDS}
NO_MEANING = (Weight.NOTHING, Weight.DOUBTFUL)


def classify(text: str, *, keywords: Mapping[str, Label] = {}) -> Label:
    """What a reply asks for. Never raises: a fault of ours holds the reply.

    `keywords` are a brand's own words, which count only as the whole reply, and never over a stop.
    """
    try:
        return _classify(text, keywords)
    except Exception as error:  # noqa: BLE001 - its message may quote the reply, so only its kind
        logger.error("a reply could not be classified", extra={"error": type(error).__name__})
        return Label.REVIEW


def _classify(text: str, keywords: Mapping[str, Label]) -> Label:
    text = text.strip()
    folded = _fold(_ends(text))
    if reaction := _reaction(folded):
        return reaction
    lines = _lines(folded)
    stop, own = _stop(lines), _own(text, lines, keywords)
    if Label.STOP in (stop, own) or STOP_SIGNS.search(folded):
        return Label.STOP
    if stop is Label.REVIEW or len(text) > HEAD + TAIL:
        return Label.REVIEW
    return _asked(folded, lines, own)


def _ends(text: str) -> str:
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def _fold(text: str) -> str:
    """Small plain letters: no accents, invisible marks, apostrophes or look-alikes."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text.translate(APOSTROPHES).translate(LOOKALIKES))
        text = "".join(
            c for c in apart if c in BREAKS or unicodedata.category(c) not in DROPPED
        ).translate(LOOKALIKES)
    return text.casefold().translate(PLAIN)


def _reaction(folded: str) -> Label | None:
    """The label of a phone's reaction to a message of ours, whose quote may tell how to stop."""
    match = REACTION.fullmatch(folded)
    if match is None:
        return None
    if STOP_SIGNS.search(match[1]):
        return Label.STOP
    if DISLIKE.search(match[1]):
        return Label.REVIEW
    quote = match[2] or match[3] or match[4] or ""
    return Label.NONE if len(WORD.findall(quote)) >= OWN_TEXT_WORDS else None


def _lines(folded: str) -> list[str]:
    """The lines the person wrote, without quoted ones and a phone's signature; or else all."""
    lines = [line for line in folded.splitlines() if line.strip()]
    return [line for line in lines if not SIGNATURE.match(line)] or lines


# Stopping


def _stop(lines: Sequence[str]) -> Label:
    """STOP, REVIEW or NONE: the strongest of the lines, and of all of them read as one."""
    readings = [_stop_in(line) for line in lines]
    if len(lines) > 1:
        readings.append(_stop_in(" ".join(lines)))
    return _strongest(readings)


def _strongest(labels: Collection[Label]) -> Label:
    return next((label for label in (Label.STOP, Label.REVIEW) if label in labels), Label.NONE)


def _stop_in(line: str) -> Label:
    says_stop = any(
        "stop" in found[0] or "arret" in found[0] for found in phrases.IDIOMS.finditer(line)
    )
    line = phrases.IDIOMS.sub(" idiom ", line)
    tokens = _tokens(line)
    meanings = [_meaning(token) for token in tokens]
    if _is_only_stop(tokens) or _has_stop_clause(line, meanings):
        return Label.STOP
    asked = _phrase_in(line, tokens)
    if asked is not Label.NONE:
        return asked
    if says_stop or any(meaning.weight in (Weight.STOP, Weight.HELD) for meaning in meanings):
        return Label.REVIEW
    return Label.REVIEW if _is_only_doubt(tokens) else Label.NONE


def _tokens(line: str) -> list[str]:
    """The words of a line; a stop word that was spelled out is one word."""
    signless = NUMBER_SIGN.sub(r"\1 number", line).translate(SYMBOLS)
    return _mended(SPELLED_OUT.sub(_joined, " ".join(WORD.findall(signless))).split())


def _mended(tokens: list[str]) -> list[str]:
    """OPT OUT put right where one of its two words has a slip: "op out", "opt our"."""
    for at, (first, second) in enumerate(pairwise(tokens)):
        if (first == "opt") is (second == "out") or (first, second) in words.NOT_OPT_OUT:
            continue
        if OSA.distance(first + second, "optout", score_cutoff=1) == 1:
            tokens[at : at + 2] = "opt", "out"
    return tokens


def _joined(spelled: re.Match[str]) -> str:
    word = spelled[0].replace(" ", "")
    return spelled[0] if _meaning(word).weight in NO_MEANING else word


def _without_courtesy(tokens: Sequence[str]) -> list[str]:
    before = ("", *tokens)
    return [
        token
        for last, token in zip(before, tokens, strict=False)
        if token not in words.COURTESY
        and not (token in ("you", "u") and last in ("thank", "thanks"))
    ]


def _is_only_stop(
    tokens: Sequence[str], among: Sequence[Weight] = (Weight.STOP, Weight.ALONE)
) -> bool:
    """Whether, courtesies apart, a line is nothing but a stop word, however it is written."""
    rest = _without_courtesy(tokens)
    meaningful = [token for token in rest if token not in words.FILLERS]
    weights = {_meaning(t).weight for t in meaningful if t not in words.CONTROLS}
    if weights and weights <= set(among):
        return Weight.STOP in weights or words.CONTROLS.isdisjoint(meaningful)
    return _is_broken_stop(rest, among)


def _is_broken_stop(tokens: Sequence[str], among: Sequence[Weight]) -> bool:
    """Whether words are the pieces of a stop word: "un subscribe", "opt-out", "st op"."""
    whole = "".join(tokens)
    if len(tokens) < 2 or len(whole) > LONGEST_STOP:
        return False
    meaning = _meaning(whole)
    is_plain = meaning.is_sure or len(meaning.word) >= 8 or all(len(t) <= 2 for t in tokens)
    return is_plain and meaning.weight in among


def _has_stop_clause(line: str, meanings: Sequence[Meaning]) -> bool:
    """Whether a part of the line between marks says only stop: "Stop. I found a job"."""
    if all(meaning.weight is not Weight.STOP for meaning in meanings):
        return False
    clauses = CLAUSE_END.split(line)
    return len(clauses) > 1 and any(
        _is_only_stop(_tokens(clause), among=(Weight.STOP,)) for clause in clauses
    )


def _is_only_doubt(tokens: Sequence[str]) -> bool:
    rest = [t for t in _without_courtesy(tokens) if t not in words.FILLERS]
    return bool(rest) and all(_meaning(t).weight is Weight.DOUBTFUL for t in rest)


def _phrase_in(line: str, tokens: Sequence[str]) -> Label:
    """What a line asks for, read whole and, unless a part of it denies another, part by part."""
    whole, denials = phrases.DENIED.subn(" ", _wording(tokens))
    readings = [whole]
    if not denials and len(clauses := CLAUSE_END.split(line)) > 1:
        readings += [_wording(_tokens(clause)) for clause in clauses]
    asked = [_phrase(reading, len(tokens)) for reading in readings]
    return _strongest([*asked, Label.REVIEW] if denials else asked)


def _wording(tokens: Sequence[str]) -> str:
    """The words in their right spelling, without the courtesies at the end."""
    end = len(tokens)
    while end and tokens[end - 1] in words.COURTESY:
        end -= 1
    said = " ".join(_meaning(token).word for token in tokens[:end])
    return said.removesuffix(" thank you").removesuffix(" thank u")


def _phrase(wording: str, length: int) -> Label:
    """What a wording in a line of so many words asks for."""
    limits = [limit for limit, phrase in phrases.PHRASES if phrase.search(wording)]
    if not limits:
        return Label.NONE
    return Label.STOP if length <= max(limits) else Label.REVIEW


@lru_cache(maxsize=8192)
def _meaning(word: str) -> Meaning:
    if weight := _listed(word):
        return Meaning(weight, word)
    if right := _respelt(word):
        return Meaning(_listed(right) or Weight.NOTHING, right)
    if right := _misspelt(word):
        weight = Weight.STOP if right in words.MISSPELT_ANYWHERE else Weight.ALONE
        return Meaning(weight, right, is_sure=False)
    is_held = any(part in word for part in words.HOLDING_PARTS)
    return Meaning(Weight.HELD if is_held else Weight.NOTHING, word)


def _listed(word: str) -> Weight | None:
    if word in words.STOP_ANYWHERE:
        return Weight.STOP
    if word in words.STOP_ALONE:
        return Weight.ALONE
    if word in words.DOUBTFUL:
        return Weight.DOUBTFUL
    if word in words.HELD:
        return Weight.HELD
    return Weight.NOTHING if word in words.INNOCENT else _inflected(word)


def _inflected(word: str) -> Weight | None:
    if words.STOP_STEMS.fullmatch(word):
        return Weight.STOP
    return Weight.ALONE if words.ORDERS.fullmatch(word) else None


def _respelt(word: str) -> str | None:
    """The stop word meant by doubled letters, digits for letters, or a word said over and over."""
    if words.REPEATED.fullmatch(word):
        return "stop"
    if not word.isdigit():
        word = word.translate(DISGUISES)
    return word if word in STOP_WORDS else UNDOUBLED.get(DOUBLED.sub(r"\1", word))


def _misspelt(word: str) -> str | None:
    """The stop word that this is a slip or two away from; longer words may hold more slips."""
    if not 3 <= len(word) <= LONGEST_STOP:
        return None
    for right in words.MISSPELT_ANYWHERE + words.MISSPELT_ALONE:
        limit = 1 if len(right) <= 7 else 2 if len(right) <= 10 else 3
        distance = OSA.distance(word, right, score_cutoff=limit)
        if distance <= limit and not (limit == 3 and _is_nearer_to_subscribe(word, distance)):
            return right
    return None


def _is_nearer_to_subscribe(word: str, distance: int) -> bool:
    return not word.startswith("un") and any(
        OSA.distance(word, other) < distance for other in words.SUBSCRIBES
    )


# Everything else


def _own(text: str, lines: Sequence[str], keywords: Mapping[str, Label]) -> Label | None:
    """What the whole reply means to the brand; its words made of signs count only as typed."""
    if not keywords:
        return None
    said, typed = _said(lines), text.casefold()
    for keyword, label in keywords.items():
        own = WORD.findall(_fold(keyword))
        if (own and own in said) or (not own and keyword and keyword == typed):
            return label
    return None


def _said(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of the whole reply: all of them, and those that are not mere courtesy."""
    said = [word for line in lines for word in WORD.findall(line)]
    return said, _without_courtesy(said)


def _asked(folded: str, lines: Sequence[str], own: Label | None) -> Label:
    said = _said(lines)
    wordings = {" ".join(said[0]), " ".join(said[1])}
    if not words.JOIN_ALONE.isdisjoint(wordings):
        return Label.JOIN
    if not words.HELP_ALONE.isdisjoint(wordings):
        return Label.HELP
    return own or (Label.HELP if _is_call_for_help(folded, said[1]) else Label.NONE)


def _is_call_for_help(folded: str, said: Sequence[str]) -> bool:
    if QUESTION_MARKS.fullmatch(folded):
        return True
    return len(said) <= words.HELP_WORDS_AT_MOST and not words.HELP_WITHIN.isdisjoint(said)
