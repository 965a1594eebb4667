from __future__ import annotations

import ast
import json
from pathlib import Path

import jsonschema
import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema

from brands import keys
from leads import api_docs, problems
from leads.rows import COLUMNS
from tests.factories import make_brand, make_person
from tests.staff import shoot

pytest_plugins = ["tests.browser"]

ROOT = Path(__file__).resolve().parent.parent
URL = "/api/v1/leads"
SCHEMA = "/api/v1/schema/"
DOCS = "/api/docs/"


@pytest.fixture
def schema(client):
    return json.loads(client.get(SCHEMA).content)


def operation(schema):
    return schema["paths"][URL]["post"]


class TestTheSchema:
    def test_is_open_api_3(self, schema):
        validate_schema(schema)
        assert schema["openapi"].startswith("3.")

    def test_has_each_address_once(self, schema):
        assert {path: [*does] for path, does in schema["paths"].items()} == {URL: ["post"]}

    def test_needs_the_key(self, schema):
        assert operation(schema)["security"] == [{"key": []}]
        scheme = schema["components"]["securitySchemes"]["key"]
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")

    def test_has_every_column_of_a_file(self, schema):
        lead = schema["components"]["schemas"]["Lead"]["properties"]
        assert [*lead] == [*COLUMNS, "fields"]
        assert all(one["description"] for one in lead.values())

    def test_has_every_status_of_the_api(self, schema):
        statuses = {str(fault.status) for fault in problems.REQUEST_FAULTS}
        assert {*operation(schema)["responses"]} == {"200", "201", *statuses}

    def test_is_read_without_a_key(self, client):
        assert client.get(SCHEMA).status_code == 200
        assert client.get(DOCS).status_code == 200
        assert client.get(DOCS.rstrip("/")).status_code == 200

    def test_is_read_with_any_key_too(self, client):
        assert client.get(SCHEMA, headers={"Authorization": "Bearer x"}).status_code == 200


class TestThePage:
    def test_has_every_code_with_its_meaning(self, schema):
        words = schema["info"]["description"]
        told = {f"| `{code}` | {means} |" for code, means in problems.LEAD_CODES.items()}
        told |= {f"| {f.status} | `{f.code}` | {f.detail} |" for f in problems.REQUEST_FAULTS}
        assert [line for line in told if line not in words] == []

    def test_names_the_address_of_this_installation(self, settings):
        settings.PUBLIC_BASE_URL = "https://sms.example.com"
        assert "curl https://sms.example.com/api/v1/leads" in api_docs.page()

    @pytest.mark.parametrize("file", ["rows", "posted", "intake"])
    def test_knows_every_code_that_a_lead_can_be_refused_with(self, file):
        tree = ast.parse((ROOT / "leads" / f"{file}.py").read_text())
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        made = [call for call in calls if getattr(call.func, "id", "") == "Problem"]
        codes = {call.args[0].value for call in made if isinstance(call.args[0], ast.Constant)}
        in_our_words = {"duplicate_in_file": "duplicate_in_request"}
        known = {*problems.LEAD_CODES, *problems.NOTICE_CODES}
        assert codes
        assert {in_our_words.get(code, code) for code in codes} <= known

    def test_tells_no_code_twice(self):
        codes = [fault.code for fault in problems.REQUEST_FAULTS]
        assert len(codes) == len({*codes})


@pytest.mark.django_db
class TestTheExamples:
    @pytest.fixture
    def post(self, sandbox):
        whole = keys.make(make_brand(), "Portal").whole
        headers = {"Authorization": f"Bearer {whole}"}
        return lambda body: Client().post(
            URL, body, content_type="application/json", headers=headers
        )

    def examples(self, schema):
        body = operation(schema)["requestBody"]["content"]["application/json"]
        return [example["value"] for example in body["examples"].values()]

    def test_of_requests_are_taken_and_answered_as_they_say(self, schema, post):
        one, many = self.examples(schema)
        assert post(one).status_code == 201
        make_person(phone=None, email="eva@example.com")
        post(many[1])
        Client()
        said = post(many).json()
        assert [told["status"] for told in said["results"]] == ["updated", "updated", "refused"]
        assert said["results"][2] == api_docs.REFUSED

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(api_docs.EXAMPLE, id="one"),
            pytest.param(api_docs.MANY, id="many"),
            pytest.param({"phone": "x"}, id="a problem"),
            pytest.param([], id="a problem of the request"),
        ],
    )
    def test_of_answers_have_the_shape_of_real_ones(self, schema, post, body):
        response = post(body)
        answers = operation(schema)["responses"][str(response.status_code)]["content"]
        shape = answers[response["Content-Type"].partition(";")[0]]["schema"]
        resolved = {**plain(shape), "components": plain(schema["components"])}
        jsonschema.validate(response.json(), resolved)

    def test_are_all_of_the_shape_they_stand_by(self, schema):
        components = plain(schema["components"])
        for answer in operation(schema)["responses"].values():
            for content in answer["content"].values():
                for example in content["examples"].values():
                    shape = {**plain(content["schema"]), "components": components}
                    jsonschema.validate(example["value"], shape)


def plain(shape):
    """OpenAPI's `nullable` in the words of JSON Schema."""
    if isinstance(shape, list):
        return [plain(one) for one in shape]
    if not isinstance(shape, dict):
        return shape
    inner = {name: plain(one) for name, one in shape.items() if name != "nullable"}
    return {"anyOf": [inner, {"type": "null"}]} if shape.get("nullable") is True else inner


def test_the_page_is_read_without_a_log_in(page, site):
    page.goto(f"{site}{DOCS}")
    page.get_by_role("heading", name="Your first lead").wait_for()
    page.get_by_text("Post one lead, or a list of up to 1,000").wait_for()
    page.get_by_text("A person is one lead of a brand").wait_for()
    shoot(page, "api-docs")


def test_the_page_posts_a_lead_for_who_tries_it(page, site):
    whole = keys.make(make_brand(), "Portal").whole
    page.goto(f"{site}{DOCS}")
    page.get_by_role("button", name="Authorize").first.click()
    page.locator("#auth-bearer-value, .auth-container input").first.fill(whole)
    page.locator(".auth-btn-wrapper").get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").first.click()
    page.locator(".opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.get_by_text('"status": "created"').first.wait_for()
