"""The words and phrases that `keywords` reads, in the form it gives them.

That form is small letters without accents and apostrophes: "arrêt" is "arret", "don't" is "dont".
"""

from __future__ import annotations

import re

ANY_LENGTH = 10_000  # words; no reply that is read has as many


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Held at least, wherever they stand in a reply, and a STOP when a line says nothing else.
STOP_ANYWHERE = _set(
    "stop stopall unsubscribe unsub optout revoke cease desist end quit cancel remove discontinue "
    "alto parar cancelar detener basta arret arreter arretez desabonner desuscribir"
)
# Too common inside a sentence; a STOP only when a line says nothing else.
STOP_ALONE = _set(
    "out opt dnc stahp block blocked enough delete stfu td para pare paren parale baja salir "
    "borrar eliminar nomas cancela cancelen arrete desinscrire"
)
# Held when a line says nothing else: a real word one slip away from a stop word, or a farewell.
DOUBTFUL = _set(
    "top step shop stops atop stomp stoop stow sop slop swop strop bye byebye goodbye adios "
    "cancels canceled cancelled canceling cancelling removed removes quits ends ended"
)
# Near a stop word, or holding one, and yet never meant as one.
INNOCENT = _set(
    "unstop nonstop backstop doorstop shortstop stopwatch stoplight stopover subscribe subscribed "
    "subscriber subscribers subscribes resubscribe quite quiet quiz quilt quip quid suit cancer "
    "remote remover evoke pagar pasar parir"
)
# Misspellings of these are looked for; END is not here, for AND and SEND are one slip away.
MISSPELT_ANYWHERE = ("stop", "stopall", "unsubscribe", "unsub", "optout")
MISSPELT_ALONE = ("quit", "cancel", "revoke", "remove", "cancelar", "detener", "parar")
# A slip nearer to one of these than to UNSUBSCRIBE is not an UNSUBSCRIBE.
SUBSCRIBES = ("subscribe", "subscribed", "resubscribe")
# Parts of a word that hold a reply: "stopped", "stoptexting", "unsubscribing".
HOLDING_PARTS = ("stop", "unsub", "optout")
REPEATED = re.compile("(?:stop|end|quit|cancel|unsub|unsubscribe|alto|basta|out){2,}")

COURTESY = _set(
    "please pls plz plse plese kindly thanks thank thx thankyou ty tks ok okay hi hey hello now "
    "sir maam por favor porfavor porfa gracias merci svp"
)
# Words that change nothing about a stop word beside them: "how do I end this".
FILLERS = _set(
    "it this that these those them all everything me us you u i im id and just already to can "
    "could would will want wanna need like do how make so immediately asap ya esto todo quiero"
)

HELP_ALONE = frozenset(
    {
        *("help", "info", "information", "support", "ayuda", "aide", "hepl", "hlep", "halp"),
        *("hlp", "hepl me", "halp me", "customer service", "customer support", "contact info"),
        *("who is this", "whos this", "who this", "who dis", "who r u", "who are you", "who r you"),
        *("who are u", "who is it", "what is this", "whats this", "what company", "what is it"),
        *("what company is this", "which company", "which company is this", "quien es", "quien"),
        *("quienes son", "quien eres", "que es esto", "is this a scam", "is it a scam"),
        *("is this spam", "is this real", "is this legit", "scam"),
    }
)
HELP_WITHIN = frozenset({"help", "ayuda", "aide"})
HELP_WORDS_AT_MOST = 3

JOIN_ALONE = frozenset(
    {
        *("start", "unstop", "join", "subscribe", "optin", "opt in", "sign me up", "join jobs"),
        *("comenzar", "unirse", "iniciar"),
    }
)
# Beside a stop word these say nothing, because a stop wins: "join stop", "help me stop".
CONTROLS = _set("help info join start unstop subscribe optin ayuda")

_MESSAGES = (
    "text|texts|texting|txt|txts|txting|texto|textos|message|messages|messaging|mesage|mesages"
    "|messeging|messenging|mensaje|mensajes|msg|msgs|msging|sms|email|emails|spam|spamming"
    "|notification|notifications|alert|alerts|subscription|subscriptions"
)
_SENDING = (
    "send|sending|call|calls|calling|contact|contacting|writing|emailing|bothering|harassing"
    "|harrassing"
)
_BETWEEN = (
    "(?:(?:all of|all|the|these|those|this|that|your|ur|my|any|more|future|further|with|me|getting"
    "|receiving|sending|job|automated|stupid|damn|fucking|freaking|please|pls|such|from|you) ){0,4}"
)
_NOT = "(?:dont|do not|never|no longer|stop trying to|not to|didnt want you to)"
_SEND = "(?:text|txt|message|msg|contact|call|sms|email|mail|bother|write|send|spam|harass)"
_TO_ME = (
    "(?:me|us|my|this|here|to|any|anymore|again|it|these|that|messages|texts|stuff|no|nothing|"
    "anything|back|ever)"
)
_NOT_A_PLACE = "(?! (?:by|in|at|over|on|and|n|off|shop|sign|signs|light|near|for|loss)(?!\\S))"
_LIST = "(?:list|lists|listing|database|system|contacts|roster|mailing list|call list|text list)"
_SWEAR = "(?:fuck|f|fk|fck|piss|screw|buzz|bug)"


def _phrases(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{'|'.join(alternatives)})(?!\S)")


# What asks to be let go, with the largest number of words in which it is taken to mean that.
# A longer line with one of these is held. No part may repeat inside a repetition: time is linear.
PHRASES: tuple[tuple[int, re.Pattern[str]], ...] = (
    (
        ANY_LENGTH,
        _phrases(
            rf"(?:stop|quit|cease|no more(?: of)?) {_BETWEEN}(?:{_MESSAGES}|{_SENDING})",
            rf"(?:end|cancel|discontinue|enough|no mas) {_BETWEEN}(?:{_MESSAGES})",
            rf"{_NOT} (?:ever |you |u |be )?{_SEND}(?:ing)? {_TO_ME}",
            rf"(?:dont|do not|no longer|never|not) (?:want|wanna|wish|need)(?: to)?"
            rf"(?: get| receive| be)? {_BETWEEN}(?:{_MESSAGES}|calls)",
            r"opt (?:me |us |my number |this number |this phone )?out",
            r"(?:opting|opted) out",
            r"(?:revoke|revoking|withdraw|withdrawing) (?:my |all |any )?(?:consent|permission)",
            r"unsub(?:scribe)? (?:me|us|my|from|this)",
            r"(?:take|get|keep) (?:me|us|my number|this number|my name|my phone) off",
            r"(?:take|get) off (?:me|my number|this number)",
            rf"off (?:of )?(?:your|this|the|ur|that) (?:\S+ )?{_LIST}",
            r"(?:lose|forget|delete|drop|erase) (?:my|this|the) (?:number|phone|info|data|contact)",
            r"leave (?:me|us) (?:alone|be|tf alone)",
            r"do not call list",
            r"no (?:me |nos )?(?:mand|envi|escrib|texte|contact|llam|molest)"
            r"(?:en|e|es|an|a|as|ien|ies|ie)",
            r"(?:deje|dejen|deja|dejar|para|pare|paren) de (?:\S+)",
            r"no quiero (?:mas|recibir|sus|estos|mensajes|textos|llamadas)",
            r"(?:numero|telefono) (?:equivocado|incorrecto)",
            r"(?:dar|den|de|dame|darme|deme|denme) (?:me )?de baja",
            r"(?:quite|quiten|saque|saquen|borre|borren|elimine|eliminen)(?:me|nme)? (?:de|mi)",
            r"quitenme|saquenme|borrenme|eliminenme",
        ),
    ),
    (
        14,
        _phrases(
            r"report(?:ed|ing)? (?:\S+ ){0,8}(?:fcc|ftc|spam|junk|you|this)",
            r"(?:harass|harassed|harassing|harassment|harrassment|harassement)",
            r"(?:didnt|did not|never|havent) (?:sign|signed|ask for|asked for|subscribe|"
            r"subscribed|request|requested|agree|agreed|opt|opted|consent)",
            r"(?:sue|suing) (?:you|u|your|this)",
            r"my (?:lawyer|attorney)",
        ),
    ),
    (12, _phrases(r"wrong (?:number|num|person|phone|no)", r"who gave you (?:my|this) number")),
    (
        10,
        _phrases(
            r"(?:remove|delete|drop|unlist) (?:me|us|my|this (?:number|phone)|from)",
            r"unsub(?:scribe)?",
        ),
    ),
    (
        8,
        _phrases(
            rf"(?:please|pls|plz|just|kindly|you|u|must|pleas) stop{_NOT_A_PLACE}",
            r"stop (?:it|this|that|these|those|them|all|now|already|immediately|please|pls|plz)",
            r"(?:not|no longer|never) (?:interested|intrested|intersted|interest)",
            r"no (?:me interesa|estoy interesad[oa]|interest)",
            r"(?:block|blocking|blocked) (?:you|u|this|your|ur|me)",
            r"(?:im|you|youre|ur|being) (?:blocked|blocking)",
        ),
    ),
    (
        6,
        _phrases(
            rf"^stop{_NOT_A_PLACE}",
            r"go away|get lost|count me out|fuck you|fuck u|f you|f u",
            rf"{_SWEAR} off",
            r"reply stop|text stop|(?:i )?said stop",
        ),
    ),
    (4, _phrases(r"no more", r"no mas", r"no (?:texts?|messages?)", r"ya basta")),
)
# A stop that is told not to happen; it is held.
NEGATED = re.compile(
    r"(?<!\S)(?:dont|do not|doesnt|does not|didnt|did not|never|not|wont|will not|cant|cannot"
    r"|without)(?: ever| just| even| you ever| want to| wanna)? "
    r"(?:stop\S*|end|quit|cancel|remove|delete|revoke|unsub\S*|opt (?:me )?out|take me off)(?!\S)"
)
