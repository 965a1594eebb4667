"""What the commonest codes of providers mean, for staff to read. It decides nothing.

A code that stands not here is shown as it is; what follows from a code, the adapters say.
"""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "twilio": {
        "20003": "the account's credentials were not accepted",
        "20005": "the account is not active",
        "21211": "this is not a valid phone number",
        "21408": "the account may not text this region",
        "21606": "the number may not text this recipient",
        "21610": "the person has opted out with the provider",
        "21611": "too much waits at the provider for this number",
        "21612": "this phone cannot be reached by text",
        "21614": "this phone takes no texts",
        "21617": "the text is too long",
        "30001": "the provider's queue was full",
        "30002": "the account is suspended",
        "30003": "the phone was switched off or out of reach",
        "30004": "the phone or its carrier blocks these texts",
        "30005": "the phone number is unknown or no longer in use",
        "30006": "a landline, or a carrier that cannot be reached",
        "30007": "the carrier filtered it out as unwanted",
        "30008": "the carrier gave no cause",
        "30017": "the carrier's network was congested",
        "30022": "the number sent faster than the carrier allows",
        "30023": "the carrier's daily cap was reached",
        "30027": "T-Mobile's daily cap was reached",
        "30034": "the number is not registered with the carriers",
        "30036": "its time ran out at the provider",
    },
    "plivo": {
        "10": "the carrier calls the text invalid",
        "20": "an error in the carrier's network",
        "30": "the carrier filtered it out as unwanted",
        "40": "the carrier does not accept our number",
        "50": "this phone cannot be reached by text, perhaps a landline",
        "60": "carriers sent it to each other in a circle",
        "70": "the phone can no longer be reached",
        "80": "the phone was switched off or out of reach",
        "90": "the provider found no way to the carrier",
        "100": "the carrier does not allow it",
        "110": "the text is too long",
        "200": "the person has opted out with the provider",
        "201": "a toll-free number may not text Canada",
        "300": "the provider could not pass it on",
        "420": "its time ran out at the provider",
        "450": "the account may not text this country",
        "900": "the account has no credit left",
        "910": "the account is switched off",
    },
    "vonage_sms": {
        "status 3": "a field of the request was wrong",
        "status 4": "the account's credentials were not accepted",
        "status 6": "the number is not one it can send to",
        "status 7": "the provider does not send to this number",
        "status 8": "the account is suspended",
        "status 9": "the account has no credit left",
        "status 12": "the text is too long",
        "status 15": "the account may not send from this number",
        "status 33": "the phone number is no longer in use",
        "2": "the phone was switched off or out of reach",
        "3": "the phone number is unknown or no longer in use",
        "4": "the person has had such texts barred",
        "6": "the carrier filtered it out as unwanted",
        "9": "not a valid number, or the person has opted out with the provider",
        "11": "the provider found no way to the carrier",
        "12": "this phone cannot be reached by text",
        "14": "the carrier blocks texts to this number",
        "99": "the carrier gave no cause",
    },
    "vonage": {
        "1060": "the account is suspended",
        "1070": "the account has no credit left",
        "1090": "the text is too long",
        "1120": "the account may not send from this number",
        "1170": "this is not a valid phone number",
        "1180": "the phone was switched off or out of reach",
        "1190": "the phone number is unknown or no longer in use",
        "1210": "the carrier filtered it out as unwanted",
        "1240": "the person has opted out with the provider",
        "1250": "the provider found no way to the carrier",
        "1260": "this phone cannot be reached by text",
        "1280": "the carrier blocks texts to this number",
    },
}


def in_words(kind: str, code: str) -> str:
    """What a code of this kind of provider means; empty where there are no words for it."""
    return WORDS.get(kind, {}).get(code, "")
