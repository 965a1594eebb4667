"""The campaign flow, its forms and the start of a campaign by e-mail."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from campaigns.models import Campaign, ListRoute, Template, TemplateVersion
from campaigns.rendering import Mail, mail_troubles
from campaigns.setting_up import copy
from campaigns.starting import CannotStart, blockers, route_of, start
from providers.models import Route, RouteNumber
from tests.delivery import mailing
from tests.delivery.mailing import make_mail_campaign, make_mail_template, make_reader
from tests.factories import (
    DAY,
    NOON,
    make_brand,
    make_lead,
    make_list,
    make_number,
    make_route,
    make_template,
)
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

URL = "/admin/new-campaign/"
LONG = "Senior Regional Warehouse Operations Coordinators and Their Many Helpers"
HTML = """<style>h1 { color: #1d4ed8; font-family: sans-serif }</style>
<body><h1>Hi {first_name|there}</h1><p>New jobs in {city|your area}: <a href="{link}">see them</a>
</p><script>document.title = "taken over"</script></body>"""

# Fixtures.
brand = mailing.brand
sender = mailing.sender


@pytest.fixture
def staff(brand):
    return client_of(make_user(brand, "marketer"))


def a_form(brand, **changes):
    values = {
        "brand": brand.pk,
        "channel": "email",
        "name": "By e-mail",
        "lead_list": make_list(brand, make_lead(brand)).pk,
        "template": "",
        "subject": "New jobs",
        "text": "Hi {first_name|there}, see {link}",
        "html": '<p>Hi {first_name|there}, <a href="{link}">see</a></p>',
        "text_name": "",
        "destination": "https://jobs.example.com/",
        "route": "",
        "slots-TOTAL_FORMS": 1,
        "slots-INITIAL_FORMS": 0,
        "slots-0-local_date": "2035-03-08",
        "slots-0-local_time": "10:00",
        "slots-0-length_minutes": 120,
    }
    return {**values, **changes}


class TestTheFlow:
    def test_makes_a_campaign_with_the_words_of_an_email(self, brand, sender, staff):
        assert staff.post(URL, a_form(brand)).status_code == 302
        campaign = Campaign.objects.get()
        words = campaign.template.latest().mail
        assert (campaign.channel, campaign.template.channel) == ("email", "email")
        assert words.subject == "New jobs"
        assert words.html.startswith("<p>Hi {first_name|there}")
        assert start(campaign) == 1

    def test_keeps_no_subject_with_a_text_message(self, brand, staff):
        make_route(brand, make_number())
        staff.post(URL, a_form(brand, channel="sms"))
        assert Campaign.objects.get().template.latest().mail == Mail(
            "", "Hi {first_name|there}, see {link}"
        )

    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            ({"subject": " "}, "subject", "There is no subject yet"),
            ({"subject": "{link}"}, "subject", "{link} is not a name we know"),
            ({"subject": "x" * 201}, "subject", "at most 200 characters"),
            ({"text": ""}, "text", "There is no plain text yet"),
            ({"text": "{nick}"}, "text", "{nick} is not a name we know"),
            ({"text": "x" * 100_001}, "text", "at most 100000 characters"),
            ({"html": "<p>{nick}</p>"}, "html", "{nick} is not a name we know"),
            ({"html": "<p>{</p>"}, "html", "A { stands alone"),
            ({"destination": ""}, "destination", "say where it leads"),
            ({"channel": "fax"}, "channel", "Choose text message or e-mail."),
        ],
    )
    def test_says_which_field_is_wrong(self, brand, sender, staff, changes, field, words):
        page = staff.post(URL, a_form(brand, **changes))
        assert words in str(page.context["form"].errors[field])
        assert not Campaign.objects.exists()

    def test_takes_a_text_longer_than_a_text_message(self, brand, sender, staff):
        staff.post(URL, a_form(brand, text="x" * 5_000))
        assert Campaign.objects.get().template.latest().text == "x" * 5_000

    @pytest.mark.parametrize("channel", ["sms", "email"])
    def test_offers_what_is_of_the_channel_alone(self, brand, sender, staff, channel):
        make_route(brand, make_number(), name="Route of texts")
        Route.objects.filter(channel="email").update(name="Route of mail")
        Template.objects.filter(pk=make_template(brand).pk).update(name="A text")
        make_mail_template(brand, name="A mail")
        page = staff.get(f"{URL}?channel={channel}").text
        of_mail = ("Route of mail" in page, "A mail" in page)
        of_texts = ("Route of texts" in page, "A text" in page)
        assert (of_mail, of_texts) == (
            ((True, True), (False, False)) if channel == "email" else ((False, False), (True, True))
        )

    def test_does_not_take_a_part_of_the_other_channel(self, brand, sender, staff):
        text, route = make_template(brand), make_route(brand, make_number())
        page = staff.post(URL, a_form(brand, template=text.pk, route=route.pk))
        assert {"template", "route"} <= set(page.context["form"].errors)

    def test_lets_go_of_text_and_route_when_the_channel_changes(self, brand, sender, staff):
        form = a_form(brand, was_channel="sms", template=make_template(brand).pk, route=1)
        page = staff.post(f"{URL}parts/", form)
        assert page.context["saved"] is None
        assert page.context["form"]["route"].value() == ""

    def test_makes_a_saved_email_into_a_new_one(self, brand, sender, staff):
        saved = make_mail_template(brand, subject="Saved subject", html="<p>Saved</p>")
        form = a_form(brand, was_channel="email", template=saved.pk, do="write", subject="")
        page = staff.post(f"{URL}parts/", form).text
        assert 'value="Saved subject"' in page
        assert "&lt;p&gt;Saved&lt;/p&gt;</textarea>" in page

    def test_is_opened_with_as_many_queries_as_for_a_text(self, brand, sender, staff, statements):
        make_route(brand, make_number())
        staff.get(URL)
        of_texts = statements(lambda: staff.get(URL))
        assert statements(lambda: staff.get(f"{URL}?channel=email")) <= of_texts


class TestThePreview:
    def seen(self, staff, brand, **words):
        form = {"brand": brand.pk, "channel": "email", "text": "Hi", "subject": "S", **words}
        return staff.post(f"{URL}text/", form).text

    def test_shows_html_in_a_frame_without_rights(self, brand, staff):
        page = self.seen(staff, brand, html="<script>alert(1)</script><p>Hi</p>")
        assert 'sandbox=""' in page
        assert "&lt;script&gt;" in page
        assert "<script" not in page
        assert "default-src &#x27;none&#x27;" in page

    def test_says_which_part_cannot_be_filled_in(self, brand, staff):
        assert "Subject: {link} is not a name we know" in self.seen(staff, brand, subject="{link}")

    def test_says_that_a_way_out_is_added(self, brand, staff):
        assert "A link to unsubscribe is added" in self.seen(staff, brand)
        assert "It has its link to unsubscribe." in self.seen(staff, brand, text="{unsubscribe}")


class TestAStart:
    def a_campaign(self, brand, **fields):
        campaign = make_mail_campaign(brand, make_lead(brand), **fields)
        campaign.slots.create(local_date=DAY.replace(year=2036), local_time="10:00")
        return campaign

    def sentences(self, campaign):
        return " ".join(str(one) for one in blockers(campaign))

    def test_takes_the_brands_default_of_the_channel(self, brand, sender):
        make_route(brand, make_number())
        assert route_of(self.a_campaign(brand)).channel == "email"

    def test_says_that_there_is_no_default_of_email(self, brand):
        make_route(brand, make_number())
        with pytest.raises(CannotStart, match="has one of e-mail; choose a default route"):
            route_of(self.a_campaign(brand))

    def test_leaves_the_lists_route_of_the_other_channel_aside(self, brand, sender):
        campaign = self.a_campaign(brand)
        texts = make_route(brand, make_number())
        ListRoute.objects.create(lead_list=campaign.lead_list, route=texts)
        assert route_of(campaign).channel == "email"

    def test_refuses_a_template_of_the_other_channel(self, brand, sender):
        campaign = self.a_campaign(brand, template=make_template(brand))
        assert "is for text messages, and this campaign is an e-mail" in self.sentences(campaign)

    def test_refuses_a_route_of_the_other_channel(self, brand, sender):
        campaign = self.a_campaign(brand, route=make_route(brand, make_number()))
        assert "is for text messages, and this campaign is an e-mail" in self.sentences(campaign)

    def test_refuses_a_route_with_a_stray_number(self, brand, sender):
        route = Route.objects.get(channel="email")
        RouteNumber.objects.create(route=route, number=make_number(value="+12025550177"))
        assert "+12025550177 on" in self.sentences(self.a_campaign(brand))

    def test_asks_where_a_link_of_the_html_alone_leads(self, brand, sender):
        words = {"text": "Hi", "html": "<a href='{link}'>x</a>"}
        campaign = self.a_campaign(brand, words=words, destination="")
        assert "say where it leads" in self.sentences(campaign)

    def test_of_a_copy_is_by_email_too(self, brand, sender):
        assert copy(self.a_campaign(brand), NOON).channel == "email"


class TestTheAdmin:
    @pytest.fixture
    def boss(self, sandbox):
        return client_of(make_user())

    def test_saves_the_words_of_an_email_as_one_version(self, boss, brand):
        form = {"brand": brand.pk, "channel": "email", "name": "New", "subject": " S "}
        form |= {"text": "T\r\nU", "html": "<p>H</p>"}
        boss.post(reverse("admin:campaigns_template_add"), form)
        assert TemplateVersion.objects.get().mail == Mail("S", "T\nU", "<p>H</p>")

    def test_has_a_new_version_for_another_subject(self, boss, brand):
        template = make_mail_template(brand, subject="One", text="T", html="")
        url = reverse("admin:campaigns_template_change", args=[template.pk])
        for _ in range(2):
            boss.post(url, {"name": template.name, "subject": "Two", "text": "T", "html": ""})
        assert template.latest().mail == Mail("Two", "T")
        assert template.versions.count() == 2

    def test_names_the_field_that_is_wrong(self, boss, brand):
        form = {"brand": brand.pk, "channel": "email", "name": "New", "text": "T"}
        page = boss.post(reverse("admin:campaigns_template_add"), form)
        assert set(page.context["adminform"].form.errors) == {"subject"}

    def test_takes_no_text_for_a_campaign_by_email(self, boss, brand, sender):
        campaign = make_mail_campaign(brand, make_lead(brand))
        url = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
        form = {
            "brand": brand.pk,
            "channel": "email",
            "name": "N",
            "lead_list": campaign.lead_list_id,
            "template": make_template(brand).pk,
            "priority": 100,
            "slots-TOTAL_FORMS": 0,
            "slots-INITIAL_FORMS": 0,
        }
        page = boss.post(url, form)
        assert "this campaign is an e-mail" in str(
            page.context["adminform"].form.errors["template"]
        )


def test_a_version_is_checked_by_its_channel(brand):
    of_mail, of_text = make_mail_template(brand), make_template(brand)
    TemplateVersion(template=of_mail, subject="S", text="{unsubscribe}").clean()
    with pytest.raises(ValidationError, match="is not a name we know"):
        TemplateVersion(template=of_text, text="{unsubscribe}").clean()


def test_style_sheets_may_have_braces_and_only_they():
    assert mail_troubles(Mail("S", "T", "<STYLE a>p { color: red }</style ><p>x</p>")) == {}
    assert set(mail_troubles(Mail("S", "T", "<p style='{'>x</p>"))) == {"html"}


class TestInABrowser:
    @pytest.fixture
    def marketer(self, page, site, brand, sender):
        make_route(brand, make_number(segments_per_second=30), name="Texts")
        people = [
            make_reader(brand, first_name="Maximiliane", city="Springfield") for _ in range(3)
        ]
        make_list(brand, *people, name=f"{LONG} list")
        make_brand(name=f"{LONG} Inc.")
        log_in(page, site, make_user(brand, "marketer"))

    def test_from_the_channel_to_the_start_page(self, page, site, marketer):
        page.goto(site + URL)
        page.get_by_label("E-mail", exact=True).check()
        page.get_by_label("Subject").wait_for()
        shoot(page, "mail-flow-empty")
        page.get_by_role("button", name="Save and review").click()
        page.get_by_text("There is no subject yet").wait_for()
        shoot(page, "mail-flow-wrong")
        page.get_by_label("Subject").fill(f"{LONG} in {{city|your area}}")
        page.get_by_label("Plain text").fill("Hi {first_name|there}, see {link}")
        page.get_by_label("HTML", exact=True).fill(HTML)
        page.frame_locator("iframe").get_by_text("Hi Maximiliane").wait_for()
        assert page.title() != "taken over"
        shoot(page, "mail-flow")
        page.get_by_role("button", name="Link to unsubscribe").click()
        page.get_by_role("button", name="Save and review").click()
        page.wait_for_url("**/start/")
        page.get_by_role("heading", name="By which senders").wait_for()
        shoot(page, "mail-start")
        html = Campaign.objects.get().template.latest().html
        assert '<a href="{unsubscribe}">Unsubscribe</a>' in html

    def test_a_template_of_email(self, page, site, brand, provoked):
        provoked.append("Blocked script execution")
        log_in(page, site, make_user())
        page.goto(f"{site}/admin/campaigns/template/add/")
        page.locator("#id_channel").select_option("email")
        page.locator("#id_subject").wait_for(state="visible")
        shoot(page, "mail-template-add")
        template = make_mail_template(brand, subject=LONG, html=HTML)
        page.goto(f"{site}/admin/campaigns/template/{template.pk}/change/")
        page.frame_locator("iframe").get_by_text("Hi Maria").wait_for()
        shoot(page, "mail-template")

    def test_a_template_of_texts_has_no_subject(self, page, site, brand):
        log_in(page, site, make_user())
        template = make_template(brand)
        page.goto(f"{site}/admin/campaigns/template/{template.pk}/change/")
        page.get_by_text("1 segment").wait_for()
        assert page.locator("#id_subject").count() == 0

    @pytest.fixture(autouse=True)
    def scripts_are_blocked(self, provoked):
        """What the frame of a preview is told when its HTML has a script."""
        provoked += ["Blocked script execution", "Content Security Policy"]
