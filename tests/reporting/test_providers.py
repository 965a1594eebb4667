"""What other providers tell in their own way: no reference, ids of ours, of batches, of parts."""

from __future__ import annotations

import json

import pytest

from delivery.models import Message
from reporting.oracle.words import BY_CODE, ENDS, REPORT_FIELDS, end_of
from tests.reporting.world import NOON, World

TWICE = "a message was taken more than once"
NO_INTENT = "a request without an intent"
OTHER_ID = "recorded under another provider id"


def world_of(kind: str) -> World:
    """All of it by one provider; `says` its ledger has of each request."""
    world = World()
    account = world.number.account
    account.kind = kind
    account.save()
    for request in world.requests:
        request.update(says(world, kind))
    if kind in ("slooce", "textback_query"):
        own_ids(world)
    return world


def says(world: World, kind: str) -> dict[str, object]:
    bare = {"ref": ""} if kind in ("simpletexting", "textback_query") else {}
    return {"provider": kind, "from": world.number.value, **bare}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["simpletexting", "textback_query"])
class TestARequestWithoutOurReference:
    def lost(self, world: World) -> Message:
        """Nobody knows whether it was taken, and under which id."""
        fields = {"kind": "single", "idempotency_key": "k1"}
        message = world.send(status="unknown", outcome="unknown", at=NOON, **fields)
        world.requests[-1].update(says(world, world.number.account.kind))
        return message

    def test_is_that_of_the_attempt_with_its_words_to_its_recipient(self, kind, tmp_path):
        world = world_of(kind)
        self.lost(world)
        assert world.problems(tmp_path) == {}

    def test_that_comes_again_is_seen(self, kind, tmp_path):
        world = world_of(kind)
        world.request(world.messages[0], **says(world, kind), provider_ref="another")
        assert world.problems(tmp_path) == {"O1": [TWICE]}

    def test_that_comes_again_while_nobody_knows_is_seen(self, kind, tmp_path):
        world = world_of(kind)
        world.request(self.lost(world), **says(world, kind), provider_ref="another")
        assert world.problems(tmp_path) == {"O1": [TWICE]}

    @pytest.mark.parametrize(
        "changes", [{"text": "other words"}, {"from": "+12025550199"}, {"to": "+12125550199"}]
    )
    def test_that_fits_no_attempt_is_one_without_an_intent(self, kind, changes, tmp_path):
        world = world_of(kind)
        request = world.request(world.messages[0], **says(world, kind), took=False)
        request.update(changes, provider_ref="")
        assert world.problems(tmp_path)["O2"] == [NO_INTENT]

    def test_long_after_the_attempt_is_another_one(self, kind, tmp_path):
        world = world_of(kind)
        request = world.request(world.messages[0], **says(world, kind), took=False)
        request.update(received_at=request["received_at"] + 120, provider_ref="")
        assert world.problems(tmp_path)["O2"] == [NO_INTENT]


def own_ids(world: World) -> None:
    """What is accepted has our reference for an id, where they tell none."""
    for message in world.messages:
        attempt = message.attempts.get()
        if attempt.outcome == "accepted":
            attempt.provider_refs = [attempt.ref]
            attempt.save()


@pytest.mark.django_db
class TestTheIdThatIsRecorded:
    def test_is_ours_where_they_tell_ours(self, tmp_path):
        world = world_of("slooce")
        assert world.problems(tmp_path) == {}

    def test_is_told_when_it_is_neither(self, tmp_path):
        world = world_of("slooce")
        world.messages[0].attempts.update(provider_refs=["another"])
        assert world.problems(tmp_path) == {"O3": [OTHER_ID]}

    def test_is_theirs_where_our_reference_is_missing(self, tmp_path):
        world = world_of("simpletexting")
        world.messages[0].attempts.update(provider_refs=["another"])
        assert world.problems(tmp_path) == {"O3": [OTHER_ID]}


def test_elsewhere_a_request_must_bear_our_reference(db, tmp_path):
    world = World()
    world.requests[0]["ref"] = ""
    assert world.problems(tmp_path)["O2"] == [NO_INTENT]


@pytest.mark.django_db
class TestAReportInTheInbox:
    """Its key says nothing; its fields do."""

    def reported(self, kind: str, word: str, body: dict[str, object], **post: object) -> World:
        world = world_of(kind)
        message = world.messages[0]
        told = world.report(message, word, recorded=False, provider=kind, **post)
        filled = {
            name: value if value != "id" else told["provider_ref"] for name, value in body.items()
        }
        raw = {"method": "POST", "query": {}, "form": {}, "body": json.dumps(filled)}
        world.event(told, dedupe_key="opaque", raw=raw)
        Message.objects.filter(pk=message.pk).update(status="delivered")
        world.reported(message, "delivered")
        return world

    @pytest.mark.parametrize(
        ("kind", "word", "body"),
        [
            ("vonage", "delivered", {"message_uuid": "id", "status": "delivered"}),
            ("textback", "DELIVERED", {"messageId": "id", "status": "DELIVERED"}),
            ("pineapple", "delivered", {"id": "id", "status": "delivered"}),
            ("generic", "delivered", {"id": "id", "status": "delivered"}),
        ],
    )
    def test_is_known_by_its_fields(self, kind, word, body, tmp_path):
        assert self.reported(kind, word, body).problems(tmp_path) == {}

    def test_of_no_post_is_seen(self, tmp_path):
        world = self.reported("vonage", "delivered", {"message_uuid": "x", "status": "delivered"})
        assert world.problems(tmp_path) == {"O11": ["a report was recorded that nobody posted"]}

    def test_of_a_batch_is_about_one_recipient(self, tmp_path):
        phone = "12025550000"
        body = {"batch_id": "id", "recipient": phone, "status": "Delivered"}
        world = self.reported("sinch", "Delivered", body)
        assert world.problems(tmp_path) == {"O11": ["a report was recorded that nobody posted"]}

    def test_that_names_only_their_id_is_that_of_its_message(self, tmp_path):
        world = world_of("simpletexting")
        told = world.report(
            world.messages[0], "DELIVERY_REPORT", recorded=False, provider="simpletexting", ref=""
        )
        body = {
            "reportId": "r",
            "type": told["word"],
            "values": {"messageId": told["provider_ref"]},
        }
        raw = {"method": "POST", "query": {}, "form": {}, "body": json.dumps(body)}
        world.event(told, dedupe_key="r", raw=raw)
        found = world.problems(tmp_path)
        assert found == {"O11": ["an end was reported and answered 2xx, but not applied"]}


@pytest.mark.django_db
class TestATextInParts:
    LONG = "a" * 200 + " Reply STOP to opt out"

    def parted(self, *words: str, status: str) -> World:
        """A message of two parts, of which so many were reported on."""
        world = world_of("vonage_sms")
        message = world.send(text=self.LONG, at=NOON, kind="single", idempotency_key="k1")
        world.requests[-1].update(says(world, "vonage_sms"))
        ref = message.attempts.get().ref
        for n, word in enumerate(words):
            post = world.report(
                message, word, recorded=False, provider="vonage_sms", provider_ref=f"SM{ref}"[n:]
            )
            form = {"messageId": post["provider_ref"], "status": word}
            world.event(post, dedupe_key=f"k{n}", raw={"form": form, "query": {}})
        if status in ("delivered", "undelivered"):
            Message.objects.filter(pk=message.pk).update(status=status)
            world.reported(message, status)
        return world

    def test_is_delivered_when_all_parts_are(self, tmp_path):
        world = self.parted("delivered", "delivered", status="delivered")
        assert world.problems(tmp_path) == {}

    def test_waits_for_the_others_when_one_is_delivered(self, tmp_path):
        assert self.parted("delivered", status="accepted").problems(tmp_path) == {}

    def test_is_not_delivered_by_one_of_them(self, tmp_path):
        found = self.parted("delivered", status="delivered").problems(tmp_path)
        assert found == {"O11": ["an end that no provider reported"]}

    def test_is_lost_with_any_of_them(self, tmp_path):
        world = self.parted("delivered", "failed", status="undelivered")
        assert world.problems(tmp_path) == {}

    def test_that_all_arrived_and_stayed_open_is_seen(self, tmp_path):
        found = self.parted("delivered", "delivered", status="accepted").problems(tmp_path)
        assert found == {"O11": ["an end was reported and answered 2xx, but not applied"]}


@pytest.mark.parametrize(
    ("provider", "word", "code", "end"),
    [
        ("sinch", "Delivered", "0", "delivered"),
        ("sinch", "Failed", "27", "undelivered"),
        ("sinch", "Failed", "300", "failed"),
        ("sinch", "Rejected", "406", "undelivered"),
        ("sinch", "Queued", "400", ""),
        ("simpletexting", "DELIVERY_REPORT", "", "delivered"),
        ("simpletexting", "NON_DELIVERED_REPORT", "", "undelivered"),
        ("simpletexting", "OUTGOING_MESSAGE", "", ""),
        ("vonage_sms", "failed", "99", "undelivered"),
        ("vonage_sms", "failed", "14", "failed"),
        ("vonage", "rejected", "1360", "undelivered"),
        ("vonage", "undeliverable", "1230", "failed"),
        ("textback", "REJECTED", "CARRIER_BLOCKED", "failed"),
        ("pineapple", "expired", "expired", "undelivered"),
        ("generic", "failed", "", "failed"),
        ("slooce", "delivered", "", ""),
    ],
)
def test_the_end_that_a_word_means(provider, word, code, end):
    assert end_of(provider, word, code) == end


def test_what_ends_a_message_can_be_found_in_the_inbox():
    assert set(BY_CODE) <= set(ENDS)
    assert set(ENDS) - set(REPORT_FIELDS) == {"twilio", "plivo", "smtp"}  # whose keys say it
