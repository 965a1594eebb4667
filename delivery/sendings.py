"""The kinds of sending: the steps of each, in the order they run.

An exemption is a step that is not in a kind's tuple, never an `if` inside one.
"""

from __future__ import annotations

from collections.abc import Mapping

from delivery.mail_steps import (
    add_link_to_mail,
    add_unsubscribe_link,
    fill_in_mail_of_single,
    fill_in_mail_of_slot,
    refuse_bad_mailbox,
    refuse_unfit_mail,
)
from delivery.states import Kind, ReplyKind
from delivery.steps import (
    EMAIL_CAMPAIGN_SENDING,
    EMAIL_TEST_SENDING,
    EMAIL_TEST_TO_A_LEAD,
    TEST_SENDING,
    TEST_TO_A_LEAD,
    Step,
    add_link,
    add_opt_out_line,
    fill_in_reply,
    fill_in_single,
    fill_in_text,
    hold_for_person_limit,
    hold_for_the_person,
    hold_in_quiet_hours,
    hold_while_all_is_stopped,
    hold_while_stopped,
    hold_without_a_number,
    hold_without_a_number_that_answers,
    refuse_bad_address,
    refuse_expired,
    refuse_opted_out,
    refuse_out_of_tries,
    refuse_same_words,
    refuse_unfit,
    refuse_without_consent,
    reserve,
    reserve_beside_the_limit,
)

CAMPAIGN: tuple[Step, ...] = (
    hold_while_stopped,
    refuse_expired,
    refuse_out_of_tries,
    refuse_opted_out,
    hold_for_the_person,
    refuse_without_consent,
    refuse_bad_address,
    hold_in_quiet_hours,
    hold_for_person_limit,
    fill_in_text,
    refuse_same_words,
    add_link,
    add_opt_out_line,
    refuse_unfit,
    hold_without_a_number,
    reserve,
)

# As for texts: an e-mail rests on the same consent, which is stricter than the law (15 USC 7704
# asks for a way out, not for consent), and waits for the same hours. It has a link to unsubscribe
# for an opt-out line, and neither segments nor letters that a number cannot carry.
EMAIL_CAMPAIGN: tuple[Step, ...] = (
    hold_while_stopped,
    refuse_expired,
    refuse_out_of_tries,
    refuse_opted_out,
    hold_for_the_person,
    refuse_without_consent,
    refuse_bad_mailbox,
    hold_in_quiet_hours,
    hold_for_person_limit,
    fill_in_mail_of_slot,
    refuse_same_words,
    add_link_to_mail,
    add_unsubscribe_link,
    refuse_unfit_mail,
    hold_without_a_number,
    reserve,
)

# Whoever holds the phone asks for a test this very moment, so no quiet hours hold it, nor what they
# had lately, nor the same words. It counts, so campaigns wait after it as after any other message.
TEST: tuple[Step, ...] = (
    hold_while_stopped,
    refuse_expired,
    refuse_out_of_tries,
    refuse_opted_out,
    hold_for_the_person,
    refuse_without_consent,
    refuse_bad_address,
    fill_in_single,
    add_link,
    add_opt_out_line,
    refuse_unfit,
    hold_without_a_number,
    reserve_beside_the_limit,
)

# Nobody can tell whose phone it is, so whoever stands on a list gets no test at night, and none
# oftener than campaigns could text them.
TEST_OF_A_LEAD: tuple[Step, ...] = (
    hold_while_stopped,
    refuse_expired,
    refuse_out_of_tries,
    refuse_opted_out,
    hold_for_the_person,
    refuse_without_consent,
    refuse_bad_address,
    hold_in_quiet_hours,
    hold_for_person_limit,
    fill_in_single,
    add_link,
    add_opt_out_line,
    refuse_unfit,
    hold_without_a_number,
    reserve,
)

EMAIL_TEST: tuple[Step, ...] = (
    hold_while_stopped,
    refuse_expired,
    refuse_out_of_tries,
    refuse_opted_out,
    hold_for_the_person,
    refuse_without_consent,
    refuse_bad_mailbox,
    fill_in_mail_of_single,
    add_link_to_mail,
    add_unsubscribe_link,
    refuse_unfit_mail,
    hold_without_a_number,
    reserve_beside_the_limit,
)

EMAIL_TEST_OF_A_LEAD: tuple[Step, ...] = (
    hold_while_stopped,
    refuse_expired,
    refuse_out_of_tries,
    refuse_opted_out,
    hold_for_the_person,
    refuse_without_consent,
    refuse_bad_mailbox,
    hold_in_quiet_hours,
    hold_for_person_limit,
    fill_in_mail_of_single,
    add_link_to_mail,
    add_unsubscribe_link,
    refuse_unfit_mail,
    hold_without_a_number,
    reserve,
)

# The confirmation of a STOP and HELP reach people who opted out or are on hold, at any hour and
# beside all caps; they expire five minutes after the text they answer.
STOP_REPLY: tuple[Step, ...] = (
    hold_while_all_is_stopped,
    refuse_expired,
    refuse_out_of_tries,
    refuse_bad_address,
    fill_in_reply,
    refuse_unfit,
    hold_without_a_number_that_answers,
)

HELP_REPLY = STOP_REPLY

# Not past opt-out and hold: whoever joined and then wrote STOP hears no welcome.
JOIN_REPLY: tuple[Step, ...] = (
    hold_while_all_is_stopped,
    refuse_expired,
    refuse_out_of_tries,
    refuse_opted_out,
    hold_for_the_person,
    refuse_bad_address,
    fill_in_reply,
    refuse_unfit,
    hold_without_a_number_that_answers,
)

STEPS: Mapping[str, tuple[Step, ...]] = {
    Kind.CAMPAIGN.value: CAMPAIGN,
    TEST_SENDING: TEST,
    TEST_TO_A_LEAD: TEST_OF_A_LEAD,
    EMAIL_CAMPAIGN_SENDING: EMAIL_CAMPAIGN,
    EMAIL_TEST_SENDING: EMAIL_TEST,
    EMAIL_TEST_TO_A_LEAD: EMAIL_TEST_OF_A_LEAD,
    ReplyKind.STOP.value: STOP_REPLY,
    ReplyKind.HELP.value: HELP_REPLY,
    ReplyKind.JOIN.value: JOIN_REPLY,
}
"""The steps of each kind of sending. A kind that stands not here is never sent: it is struck."""
