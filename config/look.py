"""How the admin looks, and what its sidebar offers to whom."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def item(title: str, icon: str, address: str, who: str) -> dict[str, Any]:
    """An entry of the sidebar; `who` is a function of brands/header.py."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(address),
        "permission": f"brands.header.{who}",
    }


def rows(title: str, icon: str, model: str, who: str) -> dict[str, Any]:
    return item(title, icon, f"admin:{model}_changelist", who)


SEND, ROWS, PEOPLE = "can_send", "can_see_rows", "can_read_people"
MANAGE, OWN, FIGURES = "can_manage", "can_own", "can_see_figures"

NAVIGATION = [
    {
        "items": [
            item("What moves now", "monitoring", "admin:index", FIGURES),
            item("Report", "bar_chart", "report", FIGURES),
        ],
    },
    {
        "title": "Campaigns",
        "separator": True,
        "items": [
            rows("Campaigns", "campaign", "campaigns_campaign", ROWS),
            rows("Templates", "edit_note", "campaigns_template", ROWS),
            rows("Messages", "sms", "delivery_message", ROWS),
            item("Why, or why not", "help", "why", PEOPLE),
            rows("Texts that came in", "forum", "delivery_inbound", PEOPLE),
            rows("Replies to judge", "rule", "delivery_inboundreview", PEOPLE),
        ],
    },
    {
        "title": "People",
        "separator": True,
        "items": [
            rows("Lists", "list_alt", "leads_leadlist", ROWS),
            rows("Leads", "group", "leads_lead", PEOPLE),
            rows("Imports", "upload_file", "leads_import", ROWS),
            rows("Leads refused by the API", "person_off", "leads_rejectedlead", PEOPLE),
            rows("People", "person", "compliance_person", PEOPLE),
            rows("Opt-outs", "do_not_disturb_on", "compliance_optoutevent", PEOPLE),
            rows("Consents", "verified_user", "compliance_consentevent", PEOPLE),
        ],
    },
    {
        "title": "Brands and routes",
        "separator": True,
        "items": [
            rows("Brands", "storefront", "brands_brand", ROWS),
            rows("Routes", "alt_route", "providers_route", ROWS),
            rows("Routes of lists", "fork_right", "campaigns_listroute", ROWS),
            rows("Sender numbers", "dialpad", "providers_sendernumber", ROWS),
            rows("Own keywords", "key_visualizer", "compliance_keyword", ROWS),
            rows("API keys", "key", "brands_apikey", MANAGE),
            rows("Short links", "link", "links_shortlink", ROWS),
            rows("Clicks", "ads_click", "links_click", ROWS),
        ],
    },
    {
        "title": "Installation",
        "separator": True,
        "collapsible": True,
        "items": [
            rows("Settings", "tune", "brands_installation", OWN),
            rows("Users", "manage_accounts", "auth_user", OWN),
            rows("Memberships", "badge", "brands_membership", OWN),
            rows("Provider accounts", "hub", "providers_provideraccount", OWN),
            rows("Changes of weight", "scale", "providers_weightchange", OWN),
            rows("State rules", "gavel", "compliance_staterule", OWN),
            rows("Closed days", "event_busy", "compliance_closedday", OWN),
            rows("Queue", "hourglass_top", "delivery_due", OWN),
            rows("Attempts", "outgoing_mail", "delivery_attempt", OWN),
            rows("Reports that came in", "inbox", "delivery_webhookevent", OWN),
            rows("Callbacks that came to nothing", "block", "delivery_webhooktally", OWN),
            rows("Cap counters", "counter_1", "delivery_capcounter", OWN),
            rows("Clock shifts", "more_time", "brands_clockshift", OWN),
        ],
    },
]

# A calm blue; the admin's own violet is left to others.
BLUE = {
    "50": "#eff4ff", "100": "#dbe6fe", "200": "#bfd3fe", "300": "#93b4fd", "400": "#6090fa",
    "500": "#3b6cf6", "600": "#2550e0", "700": "#1d40c4", "800": "#1e369f", "900": "#1e327d",
    "950": "#17214d",
}  # fmt: skip

UNFOLD_LOOK: dict[str, Any] = {
    "SITE_TITLE": "Sendonce",
    "SITE_HEADER": "Sendonce",
    "SITE_SUBHEADER": "each message once",
    "SITE_SYMBOL": "sms",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("sendonce/icon.svg"),
        }
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {"primary": BLUE},
    "STYLES": [lambda request: static("sendonce/pages.css")],
    "LOGIN": {"form": "brands.log_in.LogInForm"},
    "GLOBAL_CALLBACK": "brands.header.context",
    "DASHBOARD_CALLBACK": "reporting.live_page.dashboard",
    "SIDEBAR": {"show_search": False, "navigation": NAVIGATION},
}
