"""The words that `keywords` reads, in the form it gives them.

That form is small letters without accents and apostrophes: "arrêt" is "arret", "don't" is "dont".
"""

from __future__ import annotations

import re


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Held at least, wherever they stand in a reply, and a STOP when a line says nothing else.
STOP_ANYWHERE = _set(
    "stop stopall unsubscribe unsub optout revoke cease desist end quit cancel remove discontinue "
    "alto parar cancelar detener basta arret arreter arretez"
)
# Too common inside a sentence; a STOP only when a line says nothing else.
STOP_ALONE = _set(
    "out opt dnc stahp block blocked enough delete stfu td para pare paren parale baja salir "
    "nomas arrete terminate deactivate erase removal suficiente largate suffit assez"
)
# Held when a line says nothing else: a real word one slip away from a stop word, or a farewell.
DOUBTFUL = _set(
    "top step shop stops atop stomp stoop stow sop slop swop strop bye byebye goodbye adios "
    "cancels canceled cancelled removed removes quits ends ended withdraw withdrawn "
    "spam junk scam fraud fraudsters illegal report reported reporting police lawyer "
    "unwanted unauthorized decline refuse deceased acoso fin fuera bloqueado disturb "
    "asshole assholes bitch bullshit idiot idiots"
)
# Held anywhere, and no STOP even when a line says nothing else.
HELD = _set("canceling cancelling cancellation")
# Every form of these is a stop word: "unenrolled", "desuscribirme", "désinscription".
STOP_STEMS = re.compile(
    r"(?:unenrol|disenrol|unregister|deregister|des?subscri|desuscri|desinscri|desabon)\w*"
)
# Orders in Spanish and French, too common inside a sentence: "quítame", "detengan", "annulez".
ORDERS = re.compile(
    r"(?:quit|sac|saqu|borr|elimin|retir|remuev)(?:a|e|o|ar|an|en)(?:me|nos)"
    r"|(?:quit|borr|elimin|cancel|anul)(?:a|ar|an|en|alo|elo|enlo)|(?:borr|elimin|anul)e"
    r"|deten(?:te|lo|erlo|ga|galo|gan|ganse|ganlo|gase)"
    r"|(?:annul|resili|supprim|effac)(?:e|er|ez)"
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
HOLDING_PARTS = (
    *("stop", "unsub", "optout", "harass", "harras", "harcel", "spamm", "scamm", "unsolicit"),
    *("tcpa", "gdpr", "lawsuit"),
)
REPEATED = re.compile("(?:stop|end|quit|cancel|unsub|unsubscribe|alto|basta|out){2,}")

COURTESY = _set(
    "please pls plz plse plese kindly thanks thank thx thankyou ty tks ok okay hi hey hello now "
    "sir maam por favor porfavor porfa gracias merci svp"
)
# Words that change nothing about a stop word beside them: "how do I end this".
FILLERS = _set(
    "it this that these those them all everything me us you u i im id and just already to can "
    "could would will want wanna need like do how make so immediately asap ya esto todo quiero "
    "deseo yo moi je veux voudrais"
)

HELP_ALONE = frozenset(
    {
        *("help", "info", "information", "support", "ayuda", "aide", "hepl", "hlep", "halp"),
        *("hlp", "hepl me", "halp me", "customer service", "customer support", "contact info"),
        *("who is this", "whos this", "who this", "who dis", "who r u", "who are you", "who r you"),
        *("who are u", "who is it", "what is this", "whats this", "what company", "what is it"),
        *("what company is this", "which company", "which company is this", "quien es", "quien"),
        *("quienes son", "quien eres", "que es esto", "is this a scam", "is it a scam"),
        *("is this spam", "is this real", "is this legit"),
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

# Two words one slip from OPT OUT that are something else.
NOT_OPT_OUT = frozenset({("top", "out"), ("opt", "outs")})
