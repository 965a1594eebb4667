from __future__ import annotations

import csv
import io

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.core.files.uploadedfile import SimpleUploadedFile

from leads import refused, uploads
from leads.csvfile import Rows
from leads.imports import import_file
from leads.models import Import, ImportError, ImportPart, Lead, LeadList
from leads.rows import COLUMNS
from leads.tasks import take_in_uploads
from tests.factories import make_brand, make_list
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]

URL = "/admin/upload/"
HEADER = b"phone,first_name,consent_at\n"
GOOD = b"212-555-0101,Ada,2026-03-01\n310-555-0102,Eva,2026-03-01\n"
BAD = b"800-555-0101,Ida,2026-03-01\n212-555-0103,Uma,soon\n"


@pytest.fixture
def brand(sandbox):
    return make_brand(name="Harbor Jobs")


@pytest.fixture
def marketer(brand):
    return client_of(make_user(brand, "marketer"))


def csv_file(content=HEADER + GOOD, name="june.csv"):
    return SimpleUploadedFile(name, content, content_type="text/csv")


def post(client, **fields):
    fields = {"lead_list": "", "brand": "", "name": "", "source": "", **fields}
    return client.post(URL, {"file": csv_file(), **fields})


def an_import(brand, content=HEADER + GOOD, **fields):
    return uploads.receive(
        io.BytesIO(content),
        file_name="june.csv",
        lead_list=make_list(brand),
        source="",
        uploaded_by=make_user(brand, "marketer"),
        **fields,
    )


def taken_in(brand, content=HEADER + GOOD):
    """An import that has ended, without the thread that a worker reads in."""
    return import_file(
        Rows(io.BytesIO(content)), make_list(brand), file_name="june.csv", bytes_total=len(content)
    ).taken_in


def progress_of(imported):
    return f"/admin/import/{imported.pk}/"


@pytest.mark.django_db
class TestTheForm:
    def test_takes_a_file_for_a_list_and_leads_to_its_progress(self, brand, marketer):
        chosen = make_list(brand)
        response = post(marketer, lead_list=chosen.pk, source="fair")
        made = Import.objects.get()
        assert response.url == progress_of(made)
        assert (made.lead_list, made.source, made.state) == (chosen, "fair", "waiting")
        assert made.file_name == "june.csv"
        assert made.uploaded_by.pk == int(marketer.session["_auth_user_id"])

    def test_makes_a_new_list(self, brand, marketer):
        post(marketer, brand=brand.pk, name="  Spring   fair ")
        made = Import.objects.get().lead_list
        assert (made.name, made.brand) == ("Spring fair", brand)

    @pytest.mark.parametrize(
        ("fields", "field", "words"),
        [
            pytest.param({"name": ""}, "name", "Give the new list a name", id="no name"),
            pytest.param({"brand": ""}, "brand", "Choose whose list", id="no brand"),
            pytest.param({"name": "x" * 121}, "name", "at most 120", id="a long name"),
            pytest.param({"name": "a\u202eb"}, "name", "cannot be shown", id="odd characters"),
            pytest.param({"name": "a\0b"}, "name", "Null characters", id="NUL"),
            pytest.param({"name": "OLD"}, "name", "has a list named OLD already", id="taken"),
            pytest.param({"brand": "999999"}, "brand", "not to be had", id="no such brand"),
            pytest.param({"brand": "x"}, "brand", "not to be had", id="not a brand"),
            pytest.param({"lead_list": "999999"}, "lead_list", "not to be had", id="no such list"),
            pytest.param({"lead_list": "x'"}, "lead_list", "not to be had", id="not a list"),
            pytest.param({"source": "x" * 81}, "source", "at most 80", id="a long source"),
            pytest.param({"file": ""}, "file", "Choose the file", id="no file"),
            pytest.param({"file": b""}, "file", "The file is empty", id="an empty file"),
            pytest.param({"file": HEADER}, "file", "no row under line 1", id="no people"),
            pytest.param({"file": HEADER + b"1,\xe9,"}, "file", "Line 2 is not UTF-8", id="cp1252"),
            pytest.param({"file": b"a,b\n1,2\n"}, "file", "no column phone or", id="no phone"),
        ],
    )
    def test_says_which_field_is_wrong_and_stores_nothing(
        self, brand, marketer, fields, field, words
    ):
        make_list(brand, name="Old")
        if isinstance(fields.get("file"), bytes):
            fields = {**fields, "file": csv_file(fields["file"])}
        response = post(marketer, **{"brand": brand.pk, "name": "June", **fields})
        assert response.status_code == 200
        assert words in str(response.context["form"].errors[field])
        assert not Import.objects.exists()
        assert not ImportPart.objects.exists()
        assert LeadList.objects.count() == 1

    def test_keeps_what_was_typed(self, brand, marketer):
        response = post(marketer, brand=brand.pk, name="June <b>", source="fair", file="")
        for kept in ('value="June &lt;b&gt;"', 'value="fair"', f'value="{brand.pk}" selected'):
            assert kept in response.text

    def test_offers_the_lists_of_own_brands_in_use_only(self, brand, marketer):
        mine = make_list(brand, name="Mine")
        make_list(brand, name="Retired", retired_at="2026-01-01T00:00Z")
        foreign = make_list(make_brand(), name="Foreign")
        response = marketer.get(URL)
        assert response.context["lists"] == [mine]
        assert "not to be had" in post(marketer, lead_list=foreign.pk).text
        assert not Import.objects.exists()

    @pytest.mark.parametrize("chosen", ["", "x", "9" * 30, "1'--"])
    def test_opens_whatever_list_its_address_names(self, marketer, chosen):
        assert marketer.get(URL, {"list": chosen}).status_code == 200

    def test_begins_with_the_list_it_was_opened_for(self, brand, marketer):
        chosen = make_list(brand)
        assert f'value="{chosen.pk}" selected' in marketer.get(f"{URL}?list={chosen.pk}").text

    def test_tells_of_a_list_that_somebody_else_made_at_this_moment(
        self, brand, marketer, monkeypatch
    ):
        make_list(brand, name="June")
        monkeypatch.setattr("leads.upload_form.UploadForm._check_new_list", lambda *_: None)
        response = post(marketer, brand=brand.pk, name="June")
        assert "has a list named June already" in response.text
        assert not Import.objects.exists()

    def test_takes_the_file_in_though_redis_is_away(self, brand, marketer, settings):
        settings.REDIS_URL = "redis://127.0.0.1:9/0"
        assert post(marketer, brand=brand.pk, name="June").status_code == 302
        assert uploads.waiting() == [Import.objects.get().pk]

    def test_offers_as_many_lists_with_as_many_queries(self, brand, marketer, statements):
        make_list(brand)
        marketer.get(URL)
        one = statements(lambda: marketer.get(URL))
        for _ in range(9):
            make_list(brand)
        assert statements(lambda: marketer.get(URL)) == one

    def test_its_sample_is_taken_in_whole(self, brand, marketer):
        response = marketer.get("/admin/upload/sample.csv")
        assert response["Content-Disposition"] == 'attachment; filename="people-sample.csv"'
        made = taken_in(brand, response.content)
        assert (made.rows_read, made.leads_created) == (3, 3)

    def test_names_each_column_that_is_known(self, marketer):
        assert {column.name for column in marketer.get(URL).context["columns"]} == set(COLUMNS)


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["analyst", "partner"])
def test_uploading_is_for_who_may_send(brand, role):
    client = client_of(make_user(brand, role))
    assert post(client, brand=brand.pk, name="June").status_code == 403
    assert not Import.objects.exists()


@pytest.mark.django_db
class TestProgress:
    def test_tells_its_counts_in_words(self, brand, marketer):
        made = taken_in(brand, HEADER + GOOD + BAD)
        text = " ".join(marketer.get(progress_of(made)).text.split())
        for part in ("Rows read</dt><dd>4", "New people</dt><dd>2", "Refused</dt><dd>2", "100 %"):
            assert part in text

    def test_goes_on_asking_until_it_has_ended(self, brand, marketer):
        made = an_import(brand)
        asked = marketer.get(progress_of(made), headers={"HX-Request": "true"})
        assert (asked.status_code, "every 1s" in asked.text) == (200, True)
        uploads.stop(made, "Ada")
        asked = marketer.get(progress_of(made), headers={"HX-Request": "true"})
        assert (asked.status_code, "every 1s" in asked.text) == (286, False)
        assert "Stopped by Ada." in asked.text

    def test_sends_refused_rows_only_when_there_are_more_to_show(self, brand, marketer):
        made = taken_in(brand, HEADER + BAD)
        Import.objects.update(state="running")
        asked = [
            marketer.get(f"{progress_of(made)}?shown={n}", headers={"HX-Request": "true"}).text
            for n in (0, 2)
        ]
        assert ["800-555-0101" in text for text in asked] == [True, False]

    def test_masks_what_stood_there_for_who_does_not_read_people(self, brand):
        made = taken_in(brand, HEADER + BAD)
        text = client_of(make_user(brand, "analyst")).get(progress_of(made)).text
        assert "800-5•••01" in text
        for hidden in ("800-555-0101", "Ida", "errors.csv"):
            assert hidden not in text

    def test_says_why_an_import_failed_and_what_to_do(self, brand, marketer):
        made = taken_in(brand)
        Import.objects.update(state="failed", problem="Line 4 is not UTF-8 text.")
        text = " ".join(marketer.get(progress_of(made)).text.split())
        assert "Line 4 is not UTF-8 text." in text
        assert "The first 2 rows are in and stay in. To take in the rest, upload the whole" in text

    @pytest.mark.parametrize("tail", ["", "errors.csv"])
    def test_a_foreign_import_is_not_there(self, brand, tail):
        made = taken_in(brand, HEADER + BAD)
        other = client_of(make_user(make_brand(), "admin"))
        missing = f"/admin/import/{made.pk + 999}/{tail}"
        assert other.get(progress_of(made) + tail).status_code == 404
        assert other.get(missing).status_code == 404

    def test_takes_as_many_queries_for_any_number_of_refused_rows(
        self, brand, marketer, statements
    ):
        few = taken_in(brand, HEADER + BAD)
        many = taken_in(brand, HEADER + BAD * 60)
        marketer.get(progress_of(few))
        counts = [statements(lambda one=one: marketer.get(progress_of(one))) for one in (few, many)]
        assert counts[0] == counts[1]

    def test_shows_the_first_fifty_refused_rows_and_counts_them_all(self, brand, marketer):
        context = marketer.get(progress_of(taken_in(brand, HEADER + BAD * 60))).context
        assert [row.line for row in context["refused_rows"]] == list(range(2, 52))
        assert sum(reason.rows for reason in context["reasons"]) == 120

    def test_counts_reasons_over_so_many_rows_only_and_says_so(self, brand, marketer, monkeypatch):
        monkeypatch.setattr(refused, "COUNTED", 10)
        response = marketer.get(progress_of(taken_in(brand, HEADER + BAD * 6)))
        assert sum(reason.rows for reason in response.context["reasons"]) == 10
        assert "Counted over the first 10 refused rows" in response.text


@pytest.mark.django_db
class TestStop:
    def test_ends_an_import(self, brand, marketer):
        made = an_import(brand)
        response = marketer.post(f"{progress_of(made)}stop/")
        assert response.url == progress_of(made)
        made.refresh_from_db()
        assert (made.state, made.problem[:11]) == ("failed", "Stopped by ")

    def test_is_not_for_a_link(self, brand, marketer):
        assert marketer.get(f"{progress_of(an_import(brand))}stop/").status_code == 405

    @pytest.mark.parametrize(("role", "status"), [("analyst", 403), ("partner", 403)])
    def test_is_for_who_may_send(self, brand, role, status):
        made = an_import(brand)
        client = client_of(make_user(brand, role))
        assert client.post(f"{progress_of(made)}stop/").status_code == status
        made.refresh_from_db()
        assert made.state == "waiting"

    def test_does_not_find_a_foreign_import(self, brand):
        client = client_of(make_user(make_brand(), "admin"))
        assert client.post(f"{progress_of(an_import(brand))}stop/").status_code == 404


def table(client, imported):
    response = client.get(f"{progress_of(imported)}errors.csv")
    content = b"".join(response.streaming_content).decode()
    assert content.startswith("\ufeff")
    return list(csv.reader(io.StringIO(content[1:])))


@pytest.mark.django_db
class TestTheFileOfRefusedRows:
    def test_says_why_and_what_stood_there(self, brand, marketer):
        content = b"first_name,trade,phone,consent_at\nIda,nurse,800-555-0101,2026-03-01\n1,2\n"
        header, first, second = table(marketer, taken_in(brand, content))
        assert header[:5] == [
            *("Refused line", "Refused column", "Refused code", "Refused because", "Refused row")
        ]
        assert header[5:] == ["phone", "first_name", "consent_at", "trade"]
        assert first[:3] == ["2", "phone", "phone_toll_free"]
        assert first[4:] == ["", "800-555-0101", "Ida", "2026-03-01", "nurse"]
        assert second[0:3] == ["3", "", "too_few_columns"]
        assert second[4:] == ["1,2\n", "", "", "", ""]

    @pytest.mark.parametrize(
        ("text", "cell"),
        [
            ("=1+1", "'=1+1"),
            ("+cmd", "'+cmd"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("+12125550142", "+12125550142"),
            ("+1 212 555 0142", "'+1 212 555 0142"),
            ("Ada", "Ada"),
            ("", ""),
            pytest.param("\n=1+1", "'\n=1+1", id="after a line end"),
            pytest.param("\u00a0=1+1", "'\u00a0=1+1", id="after a hard space"),
            pytest.param("\uff1d1+1", "'\uff1d1+1", id="full-width"),
        ],
    )
    def test_has_no_formulas_in_it(self, text, cell):
        assert refused.safe(text) == cell

    def test_makes_a_dangerous_column_name_harmless(self, brand, marketer):
        made = taken_in(brand, HEADER + BAD)
        ImportError.objects.update(row={"=cmd()": "=1+1", "phone": "+15"})
        header, row, _ = table(marketer, made)
        assert (header[5:], row[5:]) == (["phone", "'=cmd()"], ["'+15", "'=1+1"])

    def test_can_be_mended_and_uploaded(self, brand, marketer):
        rows = table(marketer, taken_in(brand, HEADER + BAD))
        out = io.StringIO()
        csv.writer(out).writerows(rows)
        mended = (
            out.getvalue().replace("800-555-0101", "212-555-0199").replace("soon", "2026-03-01")
        )
        made = taken_in(brand, mended.encode())
        assert (made.leads_created, made.rows_refused) == (2, 0)
        assert list(Lead.objects.values_list("fields", flat=True)) == [{}, {}]

    @pytest.mark.parametrize("role", ["analyst", "partner"])
    def test_is_for_who_may_read_people(self, brand, role):
        made = taken_in(brand, HEADER + BAD)
        client = client_of(make_user(brand, role))
        assert client.get(f"{progress_of(made)}errors.csv").status_code == 403

    def test_reads_any_number_of_rows_with_as_many_queries(self, brand, marketer, statements):
        few, many = taken_in(brand, HEADER + BAD), taken_in(brand, HEADER + BAD * 40)
        table(marketer, few)
        counts = [statements(lambda one=one: table(marketer, one)) for one in (few, many)]
        assert counts[0] == counts[1]


@pytest.mark.django_db
class TestAdminPages:
    def test_the_lists_page_leads_to_the_upload(self, brand, marketer):
        chosen = make_list(brand)
        text = marketer.get("/admin/leads/leadlist/").text
        assert f'href="{URL}"' in text
        assert f'href="{URL}?list={chosen.pk}"' in text

    def test_the_imports_page_leads_to_their_progress(self, brand, marketer):
        made = taken_in(brand)
        assert f'href="{progress_of(made)}"' in marketer.get("/admin/leads/import/").text

    def test_an_analyst_is_offered_no_upload(self, brand):
        make_list(brand)
        client = client_of(make_user(brand, "analyst"))
        for url in ("/admin/leads/leadlist/", "/admin/leads/import/"):
            assert URL not in client.get(url).text

    def test_no_page_of_ours_shows_json(self, rf):
        request = rf.get("/")
        request.user = make_user()
        for model, page in admin.site._registry.items():
            if model._meta.app_label == "leads":
                shown = {
                    *page.list_display,
                    *flatten_fieldsets(page.get_fieldsets(request, model())),
                }
                assert not shown & {"rules", "row", "fields", "attribution"}, model


def choose(page, content, name="june.csv"):
    page.locator("#id_file").set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": content}
    )


class TestInTheBrowser:
    def test_a_wrong_file_is_told_then_a_good_one_is_taken_in_before_ones_eyes(self, page, site):
        brand = make_brand(name="Harbor Jobs")
        log_in(page, site, make_user(brand, "marketer"))
        page.goto(f"{site}{URL}")
        shoot(page, "upload")
        page.get_by_label("Name of the new list").fill("Nurses, spring fair")
        choose(page, b"name\nAda\n")
        page.get_by_role("button", name="Upload people").click()
        page.get_by_text("Line 1, the header, has no column phone or email").wait_for()
        shoot(page, "upload-wrong")
        assert page.get_by_label("Name of the new list").input_value() == "Nurses, spring fair"
        assert not Import.objects.exists()
        choose(page, HEADER + GOOD + BAD + b"1,2\n")
        page.get_by_role("button", name="Upload people").click()
        page.get_by_text("Its turn comes by itself").wait_for()
        shoot(page, "import-waiting")
        take_in_uploads()
        page.get_by_text("Every row was read").wait_for()
        page.get_by_text("Row by row").wait_for()
        shoot(page, "import-done")
        page.emulate_media(color_scheme="dark")
        page.reload()
        shoot(page, "import-done-dark")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the refused rows").click()
        assert "Refused line" in download.value.path().read_text("utf-8-sig")

    def test_an_import_can_be_stopped(self, page, site):
        brand = make_brand()
        log_in(page, site, make_user(brand, "marketer"))
        page.goto(f"{site}{progress_of(an_import(brand))}")
        page.get_by_role("button", name="Stop this import").click()
        page.get_by_text("Nobody of this file was taken in").wait_for()
        shoot(page, "import-stopped")

    def test_the_pages_of_lists_and_imports(self, page, site):
        brand = make_brand(name="Harbor Jobs")
        for content in (HEADER + GOOD, HEADER + BAD, HEADER + GOOD + BAD):
            taken_in(brand, content)
        an_import(brand)
        chosen = LeadList.objects.latest("pk")
        log_in(page, site, make_user(brand, "marketer"))
        for name, path in {
            "lists": "leadlist/",
            "list": f"leadlist/{chosen.pk}/change/",
            "imports": "import/",
            "import-row": f"import/{Import.objects.earliest('pk').pk}/change/",
            "leads": "lead/",
            "lead": f"lead/{Lead.objects.earliest('pk').pk}/change/",
        }.items():
            page.goto(f"{site}/admin/leads/{path}")
            shoot(page, name)
