"""The phrases that ask to be let go, what denies them, and the sayings that only sound like it."""

from __future__ import annotations

import re

ANY_LENGTH = 10_000  # words; no reply that is read has as many

# Parts of phrases. No part may repeat inside a repetition: time is linear.
_MESSAGES = (
    "text|texts|texting|txt|txts|txting|texto|textos|message|messages|messaging|mesage|mesages"
    "|messeging|messenging|mensaje|mensajes|msg|msgs|msging|sms|email|emails|spam|spamming"
    "|notification|notifications|alert|alerts|subscription|subscriptions|suscripcion|abonnement"
)
_SENDING = (
    "send|sending|call|calls|calling|contact|contacting|writing|emailing|bothering|harassing"
    "|harrassing"
)
_RUBBISH = "crap|shit|bs|garbage|junk|nonsense|bullshit|solicitations"
_BETWEEN = (
    "(?:(?:all of|all|the|these|those|this|that|your|ur|my|any|more|future|further|with|me|getting"
    "|receiving|sending|job|automated|stupid|damn|fucking|freaking|please|pls|such|from|you"
    "|mi|mis|la|el|aux|les|ces|vos|des|de|los|las|sus|estos) ){0,4}"
)
_START = "^(?:(?:please|pls|hi|hey|hello|no|sorry|ok) )?"
_YOU = "(?:you|u|yall|you guys|you people)"
_DONT = "(?:dont|do not|dnt|donot|doont)"
_DIDNT = "(?:didnt|did not|never|havent|have not)"
_NEVER = f"(?:{_DONT}|no longer|never|not)"
_SEND = (
    "(?:text|txt|tex|texts|message|messag|msg|contact|call|sms|email|mail|bother|write|writ|send|spam"
    "|harass|reply|respond|solicit|phone|ping|dm)(?:ing)?"
)
_SEND_OR_SEND = (
    f"(?:(?:ever|you|u|be|keep|dare|again|even|just|bother) ){{0,3}}{_SEND}"
    f"(?: (?:or|and|nor) {_SEND}){{0,3}}"
)
_DONT_SEND = f"(?:{_DONT}|please not|{_START}never) {_SEND_OR_SEND}"
_NOT_SEND = (
    f"(?:{_DONT}|never|no longer|not to|to not|please not|stop trying to|didnt want you to"
    f"|{_YOU} (?:cant|cannot|can not|may not|shouldnt|should not|must not|mustnt|better not)"
    "|not (?:allowed|permitted|authorized|authorised|welcome) to|refrain from|avoid"
    f"|(?:can|could|would|will) {_YOU} (?:please |just )?not|rather {_YOU} (?:didnt|not|dont))"
    f" {_SEND_OR_SEND}"
)
_NOBODY_ELSE = r"(?<!\bi )(?<!\bthey )(?<!\bwe )(?<!\byou )(?<!\bpeople )"
_TO_ME = (
    "(?:me|us|my (?:number|phone|cell|line|mobile|mom|wife|husband|son|daughter)|this|here|to"
    "|any|anymore|again|these|that|messages|texts|stuff|no|nothing|anything|back|ever"
    "|it(?: again| anymore)?$)"
)
_RECEIVE = (
    "(?:be (?:contacted|texted|called|messaged|emailed|bothered|spammed)|hear from"
    f"|(?:get|receive|receiving|getting|be sent|see) {_BETWEEN}"
    rf"(?:{_MESSAGES}|{_RUBBISH}|calls|(?:this|these|those|them|it|any|anything|more|anymore)$)"
    "|receive$|receiving$)"
)
_NOT_A_PLACE = "(?! (?:by|in|at|over|on|and|n|off|shop|sign|signs|light|near|for|loss)(?!\\S))"
_LIST = (
    "(?:list|lists|listing|database|system|contacts|roster|mailing list|call list|text list"
    "|records|registry|program|group|thread)"
)
_NUMBER = "(?:number|phone|cell|line|mobile|name|info|information|data|contact|contacts|details)"
_PHONE = "(?:number|phone|cell|line|mobile|contact)"
_SWEAR = "(?:fuck|f|fk|fck|piss|screw|buzz|bug)"
_WRONG = "(?:wrong|worng|wrng|wron|rong|incorrect)"
_SOMEONE = (
    r"(?:num\w*|nu\w?ber|nbr|nmbr|no|person|phone|guy|dude|girl|lady|man|cell|contact|recipient"
    "|party|individual|people)"
)
_CONSENT = (
    "(?:consent(?:ed|ing)?|permission|authori[sz](?:e|ation))"
    "(?! (?:slips?|forms?|letter|from|is|needed|yet))"
    "(?! to (?:work|drive|operate|leave|go|enter|park|start|take|wear|use))"
)
_BUREAU = "(?:fcc|ftc|bbb|attorney general|better business bureau)"
# What may follow "this is not" without being the name of a person.
_NO_NAME = (
    r"(?:\w{3,}ing|\w+able|\w+ible|\w+ful|\w+ous|\w{2,}(?:ted|ned|ked|sed|ced|yed|ied|ired)|\d+"
    r"|\w*days?|nights?|mornings?|evenings?|weekends?|a|an|the|my|sure|ready|bad|good|great|yet|now"
    "|tomorrow|tonight|here|there|it|true|right|far|really|much|clear|home|free|late|too|certain"
    "|urgent|fair|enough|necessary|always|fine|ok|okay|old|new|local|nice|fun|cool|legal|legit|real"
    "|happy|mad|picky|bilingual|fluent|long|hard|easy|currently|exactly|actually|usually|early|only"
    "|likely|active|expensive|safe|well|sick|bot|english|spanish|anymore|so|this|that|what|done"
    "|close|open|full|part|at|in|on|for|from|to|if|important|relevant|different|cheap|worth|perfect"
    "|afraid|alone|aware|busy|stop|end|spam|bilingue|ciudadan[oa]|residente|chofer|de|un|una)"
)
_REMOVING = (
    "(?:remov|delet|eras|exclud|unlist|drop|purg|scrub|scratch|strik|ditch|deactivat|wip)"
    "(?:e|p)?(?:ing)?"
)
_REMOVED = "(?:removed|taken off|deleted|unsubscribed|opted out|unlisted|excluded|left alone)"
_QUITAR = r"(?:quit|sac|saqu|borr|elimin|retir|remuev|suelt|cancel|anul)[aeo]\w{0,6}"
_MANDAR = (
    r"(?:mand|envi|escrib|text|contact|llam|molest|fastidi|mensaj|acos|insist)"
    r"(?:ar|ir|e{1,2}[ns]?|an|a|as|ien|ies|ie|eis)(?:me|nos)?"
)
_ENVOYER = r"(?:m|n)?(?:envoy|ecri|contact|appel|text|sollicit|derang|embet|harcel|spam)\w*"
_RETIRER = r"(?:retir|enlev|supprim|effac|ot|ray|desinscri|desabon)\w{0,6}"


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{'|'.join(alternatives)})(?!\S)")


def _phrases(limit: int, *alternatives: str) -> tuple[int, re.Pattern[str]]:
    return limit, _pattern(*alternatives)


# What asks to be let go, with the largest number of words in which it is taken to mean that.
# A longer line with one of these is held, so what has room for no words is held always.
PHRASES: tuple[tuple[int, re.Pattern[str]], ...] = (
    _phrases(  # no more messages
        ANY_LENGTH,
        rf"(?:stop|stahp|quit|cease|no (?:more|further|additional)(?: of)?) {_BETWEEN}"
        rf"(?:{_MESSAGES}|{_SENDING})",
        rf"(?:end|cancel|discontinue|terminate|disable|turn off|enough|no mas) {_BETWEEN}"
        rf"(?:{_MESSAGES})",
        rf"{_NOT_SEND} {_TO_ME}|{_NOBODY_ELSE}{_DONT_SEND}$",
        rf"no need to {_SEND} (?:me |us )?(?:again|any ?more)",
        r"not (?:to |want to |wish to )?be (?:contacted|texted|called|messaged|bothered)",
        rf"(?:{_NEVER}|wouldnt|would not|didnt|did not) (?:want|wanna|wish|care|like|agree|ask)"
        rf"(?: to)?(?: ever)? {_RECEIVE}",
        rf"(?:rather|prefer) not(?: to)? {_RECEIVE}",
        rf"{_NEVER} (?:want|wanna|wish|need|like (?=these|your|this|those|getting|receiving))"
        rf" ?{_BETWEEN}(?:{_MESSAGES}|{_RUBBISH}|calls)",
    ),
    _phrases(  # out of the list
        ANY_LENGTH,
        r"opt (?:me |us |my number |this number |this phone )?out|(?:opting|opted) out",
        r"unsub(?:scribe)? (?:me|us|my|from|this)",
        rf"(?:take|get|pull|keep|leave) (?:me|us) off|(?:take|get|pull) (?:my|this) {_NUMBER} off",
        r"(?:take|get) off (?:me|my number|this number)",
        rf"off (?:of )?(?:your|this|the|ur|that) (?:\S+ )?{_LIST}",
        rf"{_NEVER} (?:want|wanna|wish|need|like|asked)(?: to)?(?: be)? on"
        rf" (?:your|this|the|ur|any) (?:\S+ )?{_LIST}",
        rf"(?:{_REMOVING}|lose|forget) my {_NUMBER}|(?:delete|erase|lose) (?:this|the) {_PHONE}",
        r"(?:do not|dont|no) (?:call|contact|text|solicit) (?:list|registry)",
        r"l?ea?ve? (?:me|us|this number|my \S+) (?:\S+ ){0,3}alone|leave (?:me|us) be",
        rf"out of (?:your|this|ur) (?:\S+ )?{_LIST}|need (?:my|our) (?:consent|permission)",
    ),
    _phrases(  # Spanish
        ANY_LENGTH,
        rf"(?:no (?:me |nos |le |les )?|(?:deje|dejen|deja|dejar|para|pare|paren) de ){_MANDAR}",
        r"(?:par(?:ar|e|en)|(?:deten|cancel|anul|termin|suspend|ces|fren)(?:[ae]n?|ar|er|ga|gan))"
        rf" {_BETWEEN}(?:{_MESSAGES}|llamadas)",
        r"no (?:quiero|deseo|quisiera) (?:mas|recibir|sus|estos|mensajes|textos|llamadas|ser)",
        r"no (?:autorizo|consiento|doy (?:mi )?(?:consentimiento|permiso|autorizacion))",
        r"(?:numero|telefono|persona) (?:equivocad[oa]|incorrect[oa])",
        r"equivoc\w+ de (?:numero|persona|telefono)",
        r"(?:dar|den|de|da|doy|dame|darme|deme|denme|darnos|dennos) (?:me )?de baja",
        rf"{_QUITAR} (?:de (?:la|su|tu|esta|esa|sus)|mi|este) (?:\S+ )?"
        r"(?:lista|numero|telefono|celular|nombre|contacto|datos|sistema)",
        r"dej[ae]n?(?:me|nos) (?:ya )?(?:en paz|tranquil[oa]s?|quiet[oa]|sol[oa])",
    ),
    _phrases(  # French
        ANY_LENGTH,
        rf"{_ENVOYER} (?:plus|pas|jamais)",
        rf"ne (?:plus|pas|jamais) (?:me |nous )?(?:{_ENVOYER}|recevoir)",
        r"(?:veux|souhaite|desire|voudrais) (?:plus|pas) (?:(?:de|des|ces|vos) ){0,2}"
        r"(?:recevoir|messages?|sms|textos?|etre contactee?|ca)",
        rf"d?arret\w* (?:de |d)?{_BETWEEN}(?:{_MESSAGES}|{_ENVOYER}|de{_ENVOYER})",
        rf"{_RETIRER} (?:moi|nous)$|me (?:retirer|enlever|supprimer|rayer|oter)",
        rf"{_RETIRER} (?:moi|mon|mes) ?(?:de|du|numero|nom|contact|donnees|abonnement)",
        r"(?:laisse|laissez|laisser|foutez|fichez|fous|fiche) (?:moi|nous) "
        r"(?:tranquilles?|en paix|la paix)",
        r"(?:mauvais|faux) numero|trompe\w* de (?:numero|personne)",
        r"consens pas|(?:sans|pas) (?:mon |de )?consentement",
        r"(?:annule|resilie)[rz]? (?:mon|mes|cet|l)? ?abonnement",
    ),
    _phrases(  # consent
        20,
        rf"(?:{_NEVER}|{_DIDNT}|nor) (?:(?:ever|give|given|gave|giving|you|u|yall|anyone|my|any"
        rf"|our|your|the|to|a|with|get|got|express|written|prior|agree) ){{0,5}}{_CONSENT}",
        rf"{_DIDNT} authori[sz]ed",
        rf"(?<!\bi )(?:dont|do not|never|didnt|did not) (?:have|had) (?:\S+ ){{0,2}}{_CONSENT}",
        rf"no (?:(?:my|any|our|explicit|prior|express|written) ){{0,3}}{_CONSENT}",
        rf"(?:without|lack of) (?:(?:my|any|our|explicit|prior|express|written) ){{1,3}}{_CONSENT}",
        r"(?:consent|permission|authori[sz]ation) (?:\S+ ){0,3}(?:revoked?|withdrawn|denied"
        r"|rescinded|removed|cancell?ed|refused|ended|terminated|not given|not granted)",
        r"(?:revok\w+|withdr\w+|rescind\w*|cancel|remove|deny|denying|retract\w*|end"
        r"|(?:take|taking|took) back|pull|pulling) (?:(?:my|all|any|our|the|prior) ){0,3}"
        r"(?:consent|permission|authori[sz]ation)",
    ),
    _phrases(  # never asked for, and threats
        14,
        rf"{_DIDNT} (?:sign(?:ed)? (?:me |us )?(?:up|anything)|ask for|asked for"
        r"|subscribed?|request|requested|agree|agreed|opt|opted|consent)",
        rf"{_DIDNT} (?:gave|give|given|share|shared|provide|provided) (?:{_YOU} )?"
        rf"(?:my|this) {_NUMBER}",
        r"report(?:ed|ing)? (?:(?:this|you|u|your|it|the|a|as|to|number|company|for|message"
        rf"|text|them|these) ){{0,8}}(?:{_BUREAU}|spam|junk|scam|authorities)",
        rf"report(?:ed|ing)? (?:{_YOU}|this$|(?:your|this) (?:number|company|text|message))",
        r"harr?ass?\w*(?! (?:training|policy|at|by))",
        r"(?:tcpa|telemarketing|can spam|do not call) (?:violations?|act|laws?|lawsuit)",
        r"violat\w+ (?:(?:of|the|federal|state|my|tcpa) ){0,3}(?:tcpa|laws?|rights|privacy)",
        r"(?:sue|suing) (?:you|u|your|this)|(?:ill|gonna|going to) sue|(?:im|am|be|are) suing",
        r"(?:i|we) (?:will|can|could|shall|would|may|might|am going to) sue",
        r"(?:see|take|taking) (?:you|u|yall) (?:in|to) court|legal action|press charges",
        rf"{_BUREAU} complaint|complaint (?:\S+ ){{0,3}}{_BUREAU}",
        r"my (?:lawyer|attorney)|breaking the law|against the law",
    ),
    _phrases(  # a way out
        14,
        rf"(?:to|i|please|pls|help|we) (?:be|get|getting) {_REMOVED}"
        rf"(?! from (?:the|my) (?!(?:\S+ )?{_LIST}))",
        rf"(?:me|us|my {_NUMBER}) (?:be )?{_REMOVED}",
        rf"(?:take|get|keep|pull|leave|sign|let|count) (?:me|us|(?:my|this) {_NUMBER})"
        rf" (?:out(?: of (?:this|it))?$|(?:out )?of (?:your|ur|the|this|that) (?:\S+ )?{_LIST})",
        r"sign (?:me|us) off|want (?:out|off)(?: of (?:this|your \S+))?$",
        r"(?:get|stay|keep) (?:\S+ \S+ )?(?:off|out of|away from) (?:my|our)"
        r" (?:phone|line|cell|number|inbox|life)",
        r"(?:terminate|deactivate|disable|discontinue|suspend|close|cancel|end|turn off|withdraw)"
        rf" {_BETWEEN}(?:services?|membership|account|enrollment|profile)",
        r"withdraw from (?:this|your|the|all) (?:\S+ )?(?:program|list|texts|service)",
        r"(?:on|to) (?:your |the |a )?(?:dnc|do not (?:call|contact|text))",
    ),
    _phrases(  # somebody else
        12,
        rf"{_WRONG} {_SOMEONE}|(?:got|have) the {_WRONG} one",
        rf"who (?:gave|give) {_YOU} (?:my|this number|permission)",
        rf"who (?:said|told|authori[sz]ed|allowed) {_YOU} (?:could|can|to|may) {_SEND}",
        rf"why (?:are|do|did) {_YOU} (?:still|keep|always) (?:\S+ )?{_SEND}",
        rf"{_PHONE} (?:\S+ ){{0,3}}(?:belongs? to|reassigned)",
        r"(?:not|isnt|aint) (?:my|his|her|their|the right|the correct)"
        r" (?:number|name|phone|person|cell|guy)|not (?:who|whom) (?:you|u)",
        r"(?:not|no longer) \S+s (?:number|phone)|not the (?:number|phone) (?:for|of)",
        rf"(?:not|isnt) the (?:person|guy|one|man|woman) {_YOU}",
        r"(?:no|nobody|noone|none|not|isnt) (?:\S+ ){0,4}(?:that name|the name of)",
        rf"{_YOU} (?:have |got |had )?(?:me|us) (?:confused|mistaken)|mistaken (?:identity|me)"
        r"|confused? (?:me|us) with",
        r"no es (?:el|mi|su) (?:numero|telefono)|(?:numero|telefono) no es de",
    ),
    _phrases(
        10,
        rf"(?:{_REMOVING}|unlist) (?:me|us|from)"
        r"(?! (?:a|an|off|to|not|that|about|your|the|some|more|details|info))",
        r"(?:remove|delete) my(?! (?:old|resume|application|cv|last|first|second|photo|interview))",
        r"(?:remove|delete|drop) (?:this |phone )?(?:number|phone)|unsub(?:scribe)?",
        rf"(?:{_NEVER}|{_DIDNT}|wouldnt) (?:want|wanna|wish|need|like|ask for|asked for)"
        r" (?:(?:any|more|of|all) ){0,3}(?:this|these|those|them|anything|any|more)"
        r"(?: anymore| any more| from you| again| ever){0,2}$",
        r"(?:hate|tired of|sick of|fed up with|annoyed by|done with)"
        rf" {_BETWEEN}(?:{_MESSAGES}|{_RUBBISH}|calls)",
        r"(?:unwanted|unsolicited|unauthori[sz]ed|illegal|harassing|annoying)"
        rf" (?:{_MESSAGES}|calls?|contact|solicitation)",
        r"object to (?:this|these|your|any|all|direct|marketing|processing|being|receiving)",
        r"(?:removal|deletion|erasure|unsubscribe) request"
        r"|request(?:ing)? (?:for )?(?:a |my )?(?:removal|deletion|erasure)",
        r"(?:voy|vamos) a (?:demandar|denunciar|reportar|bloquear)\w*",
    ),
    _phrases(
        8,
        rf"(?:please|pls|plz|just|kindly|you|u|must|pleas) stop{_NOT_A_PLACE}",
        r"stop (?:it|this|that|these|those|them|all|now|already|immediately|please|pls|plz)",
        r"(?:not|no longer|never) (?:interested|intrested|intersted|interest)",
        r"no (?:me interesa|estoy interesad[oa]|interest)|(?:pas|plus) interessee?(?! par)",
        r"(?:block|blocking|blocked) (?:you|u|this|your|ur|me)",
        r"(?:im|you|youre|ur|being) (?:blocked|blocking)",
        r"(?:turn|shut|switch) (?:this|these|them|it|that) off|dont hit (?:me|us) up",
        r"(?:how|where|info|information|instructions|help|steps|way|link)"
        r"(?: (?:to|do|can|i|we|you|on|about|for|with)){1,3}"
        r" (?:cancel|unsubscribe|unsubscribing|optout|opt out|cancelling|canceling)$",
        r"(?:this|these|those|it|they|texts|messages|number|you) (?:is|are|r)"
        r" (?:unwanted|unsolicited|illegal|spam|spammers|spamming|annoying|junk|not welcome)",
        r"(?:nobody|no one|noone) (?:wants|likes|asked for) (?:your|these|this)",
    ),
    _phrases(
        6,
        rf"^stop{_NOT_A_PLACE}|reply stop|text stop|(?:i )?said stop",
        r"go away|get lost|go to hell|eat shit|shut up|cut it out|knock it off|count me out",
        rf"(?:fuck|screw|damn|f) (?:you|u|yall)|{_SWEAR} off|let (?:me|us) be$",
        r"(?:spam|junk) (?:texts?|messages?|sms|msgs?|number)",
        r"^(?:\S+ )?no (?:calls?|texting|sms|contact|spam)"
        r"(?: (?:or|and) (?:calls?|texts?|messages?|emails?)){0,2}$",
        r"plus (?:de|aucun) (?:messages?|sms|textos?|msgs?|notifications?|appels?)",
        r"(?:pas|aucun) (?:de )?(?:messages?|sms|textos?|appels?)",
        r"ya no (?:quiero|deseo)$|no (?:quiero|deseo) (?:nada|esto|eso)$|paren? ya|ca suffit",
    ),
    _phrases(
        4,
        r"no more|no mas|no mensajes|ya basta",
        r"(?<!\bgot )(?<!\bget )(?<!\bhave )(?<!\bhad )(?<!\breceived )no (?:texts?|messages?)"
        r"(?= (?:please|to|on|at|and|or|any ?more|ever|again)(?!\S)|$)",
    ),
    _phrases(  # held always
        0,
        rf"{_NOT_SEND}|no need to {_SEND}|{_START}do not disturb$|no solicit\w+",
        rf"why (?:are|do|did) {_YOU} (?:\S+ )?{_SEND}",
        rf"(?:how|where) did {_YOU} (?:get|find) (?:my|this) {_PHONE}",
        rf"{_NEVER} (?:want|wish|agree|need)(?: it| that)?$|nothing to do with {_YOU}",
        rf"why (?:am|are) (?:i|we) (?:on|getting|receiving)|nonstop (?:{_MESSAGES})",
        rf"(?:file|filing|filed) (?:an? )?complaint|{_BUREAU}|class action|small claims",
        r"do not call|(?:calling|called|call|contacting) (?:the )?(?:police|cops)"
        r"|(?:police|cops) (?:called|notified)",
        r"\w?\d+ (?:dollars )?(?:per|each|for each|for every|every) (?:text|message|msg|sms)",
        rf"this is (?:a scam|fraud|a fraud)|{_START}junk mail$",
    ),
    _phrases(  # held always: perhaps somebody else
        0,
        rf"(?:this is not|this isnt|thats not|that is not|im not|i am not|its not|{_START}not)"
        rf" (?!{_NO_NAME}(?!\S))\S+$",
        r"(?<!phone )(?<!battery )(?<!car )(?<!truck )(?<!computer )"
        r"(?:died|deceased|passed away|passed on)",
        r"(?:he|she|hes|shes) (?:is |has |was )?(?:dead|passed|gone)",
        r"(?:husband|wife|mother|father|mom|dad|son|daughter|brother|sister) (?:has )?passed",
        r"(?:number|phone) (?:isnt|is not|is wrong|has changed|was changed|is now|has been)",
        r"new owner|(?:just|recently) got this|this is (?:a new|my) (?:number|phone)(?: now)?$",
        r"(?:no longer|doesnt|does not|dont) (?:has|have|use|uses|own|owns) (?:this|that) "
        r"(?:number|phone)|(?:doesnt|does not|dont|no longer) lives? (?:here|at)",
        r"(?:no one|nobody|noone) (?:here|named|called|at this)",
        r"(?:no|not|isnt|doesnt|wasnt)(?: \S+){1,4} (?:at|on|with|has|uses?|for) this"
        r" (?:number|phone)|(?<!\bwho )(?:told|asked|warned) (?:you|u)|(?:last|final) warning",
        rf"{_YOU} (?:keep|still|always) {_SEND}",
        r"(?:theres|there is) no \S+ (?:here|at this)|(?:someone|somebody) elses? (?:number|phone)",
        rf"{_DONT} know (?:who (?!to|i|does)\S+ is|any \S+$|anyone|anybody|this person)",
        r"landline|(?:this is|its) (?:a |my |our |the )?(?:business|work|office|company) \S+$",
        r"belongs? to (?:my|a|an|another)|(?:sons?|daughters?|kids?|childs?|minors?) phone",
        r"(?:i am|im|he is|hes|she is|shes|(?:son|daughter|kid|child) is) (?:only |just )?"
        r"(?:[1-9]|1[0-2])(?: (?:years?|yrs?|yo|old)){0,2}$",
        rf"no soy (?!{_NO_NAME}(?!\S))\S+$|no conozco a|no vive aqui|aqui no vive",
        r"(?:esta|estas|estan) equivocad[oa]s?|fallecio|murio|es spam",
        r"(?:olvid|pierd)\w* (?:mi|este) numero|ya no (?:quiero|deseo)|no quiero$",
        r"ce nest pas \S+|decedee?|harcelement",
    ),
)
# A stop that is told not to happen, or to happen only at times, or to somebody else; it is held.
DENIED = _pattern(
    r"(?:dont|do not|doesnt|does not|didnt|did not|never|not|wont|will not|cant|cannot"
    r"|without)(?: ever| just| even| you ever| want to| wanna)? (?:stop\S*|end|quit|cancel|remove"
    r"|delete|(?:lose|forget)(?= my)|revoke|unsub\S*|opt (?:me )?out|take me off)",
    rf"{_DONT} call (?:me|us)?(?: \S+){{0,2}} ?(?:text|email|message) (?:me|us|only|instead)",
    rf"(?:text|email|message) (?:me |us )?(?:\S+ )?{_DONT} call(?: me| us)?",
    rf"{_NOT_SEND} (?:\S+ ){{0,3}}(?:after|before|until|till|during|while|unless|between"
    r"|tonight|today|on (?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|weekends))",
    rf"no (?:me |nos )?{_MANDAR} (?:\S+ ){{0,2}}(?:antes|despues|hasta|cuando|si|en la noche)",
    r"(?:i|you|u|they|he|she) (?:put|typed|entered|wrote|clicked|called|dialed|gave|sent|texted"
    rf"|listed|posted)(?: \S+){{0,3}} {_WRONG} {_SOMEONE}",
)
# Sayings that stop nothing; what follows must not speak of messages. With the word STOP itself they
# are held all the same: that word is never passed over.
IDIOMS = re.compile(
    r"(?<!\S)(?:(?:(?:bus|train|subway|metro|tram|rest)[ -]stops?|non-stop|(?<=\S )non stop"
    r"|one-stop|one stop(?= (?:shop|center|career|source))|stop (?:&|and|n) shop"
    r"|arret (?:de |d)?(?:bus|autobus|metro|tram)"
    r"|(?:front|back|high|low|dead|rear)[ -]end|week end"
    r"|(?:the )?end of (?:(?:the|this|next|my|each|every|last) )?"
    r"(?:(?:(?:school|work) )?(?:day|week|month|year|shift|summer|season|semester|quarter)s?"
    r"|january|february|march|april|may|june|july|august|september|october|november|december)"
    r"|(?:i|we|might|may|will|could|would|ill) end up"
    r"|quit (?:(?:my|a|the|last|old|current|other|previous|first|second|day|full time) ){1,3}job"
    r"|quit (?:smoking|drinking|school|college|working)"
    r"|(?:(?:i|we|ill|id)(?: (?:can|could|will|would|should|may|might|just|like to|want to"
    r"|need to|plan to)){0,3}|(?:can|could|may|should) (?:i|we))"
    r" stop (?:by|over|in(?= (?:at|on|to|today|tomorrow|and|around|later|person)|[?.!]*$)"
    r"|at (?:the|your|a)))(?=[\s?.!,;:]|$)"
    r"(?! ?(?:me|us|it|this|please|pls|all|now|text|txt|sms|msg|messag|send|call|contact|email"
    r"|spam|harass|bother|alert|list|subscri)))"
    r"|(?:why (?:dont|do not) you (?:text|call|email|send|message|contact)"
    r"|(?:you|yall|u|they|he|she|nobody|people) never (?:text|call|email|contact|message)(?:ed)?)"
    r"(?: (?:me|us))?(?= back|[?.!]*$)"
)
