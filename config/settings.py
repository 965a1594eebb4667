"""All settings, read from the environment; the defaults run the demo on one machine."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import sentry_sdk
from django.core.exceptions import ImproperlyConfigured

from compliance.places import ZonesMissing, use_pinned_zones
from config import env
from config.logs import logging_configuration, scrub_event
from config.look import UNFOLD_LOOK

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = env.folder("VAR_DIR", BASE_DIR / "var")

try:
    use_pinned_zones()
except ZonesMissing as error:
    raise ImproperlyConfigured(str(error)) from error

# --- who we are -------------------------------------------------------------------------------
DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.text("SECRET_KEY", env.DEMO_SIGNING_KEY)
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
PUBLIC_BASE_URL = env.text("PUBLIC_BASE_URL", "http://127.0.0.1:8000")
# Cookies go over https alone where the public address is one, and forms are taken from there.
CSRF_TRUSTED_ORIGINS = ["://".join(urlsplit(PUBLIC_BASE_URL)[:2])]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_BASE_URL.startswith("https://")
LOGIN_REDIRECT_URL = "admin:index"
CREDENTIAL_KEYS = env.names("CREDENTIAL_KEYS", [env.DEMO_SEALING_KEY])

# --- applications -----------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_rq",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config",
    "brands",
    "compliance",
    "providers",
    "links",
    "leads",
    "campaigns",
    "delivery",
    "reporting",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# A default time of day is no fixed moment, though it be close to now when the check runs.
SILENCED_SYSTEM_CHECKS = ["fields.W161"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"

# --- language and time ------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
FORMAT_MODULE_PATH = ["config.formats"]
USE_TZ = True
TIME_ZONE = "UTC"  # rq-scheduler reads cron strings in the process's zone: keep it UTC

# --- links ------------------------------------------------------------------------------------
# "http" only in a sandbox on one machine: nothing speaks https there, and a click must work.
SHORT_LINK_SCHEME = env.choice("SHORT_LINK_SCHEME", "https", ("https", "http"))

# --- Postgres and Redis -----------------------------------------------------------------------
DATABASE = env.database("DATABASE_URL", "postgresql://postgres@127.0.0.1:54329/sendonce")
DATABASES = {
    "default": {
        **DATABASE,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "application_name": "sendonce",
            "connect_timeout": 5,
            **DATABASE.get("OPTIONS", {}),
        },
    }
}
REDIS_URL = env.redis("REDIS_URL", "redis://127.0.0.1:63799/0")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
    }
}
RQ_QUEUES = {
    name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": -1}
    for name in ("send", "replies", "reports", "plan", "upkeep", "chores")
}

# --- sending ----------------------------------------------------------------------------------
JOURNAL_DIR = env.folder("JOURNAL_DIR", VAR_DIR / "journal")
SEND_JOBS_QUEUED = env.whole("SEND_JOBS_QUEUED", 4)
SEND_SLICE_SECONDS = env.number("SEND_SLICE_SECONDS", 10.0)
SEND_BATCH = env.whole("SEND_BATCH", 500)
PLAN_EVERY_SECONDS = env.whole("PLAN_EVERY_SECONDS", 60)
TIDY_EVERY_SECONDS = env.whole("TIDY_EVERY_SECONDS", 5)

# --- chores: what may take minutes --------------------------------------------------------------
IMPORT_EVERY_SECONDS = env.whole("IMPORT_EVERY_SECONDS", 5)
FIGURES_EVERY_SECONDS = env.whole("FIGURES_EVERY_SECONDS", 60)
NO_REPORT_AFTER_HOURS = env.whole("NO_REPORT_AFTER_HOURS", 72)
WATCH_EVERY_SECONDS = env.whole("WATCH_EVERY_SECONDS", 60)
HEALTH_EVERY_SECONDS = env.whole("HEALTH_EVERY_SECONDS", 3600)
LOOK_UP_EVERY_SECONDS = env.whole("LOOK_UP_EVERY_SECONDS", 20)
SWEEP_EVERY_SECONDS = env.whole("SWEEP_EVERY_SECONDS", 300)  # each listing of texts that came in

# --- what we see of it ------------------------------------------------------------------------

LOGGING = logging_configuration(env.choice("LOG_LEVEL", "INFO", env.LOG_LEVELS))
SENTRY_DSN = env.sentry("SENTRY_DSN")
if SENTRY_DSN:
    sentry_sdk.init(
        dsn=SENTRY_DSN,
        environment=env.text("SENTRY_ENVIRONMENT", "production"),
        send_default_pii=False,
        include_local_variables=False,
        before_send=scrub_event,
    )

# --- the API ----------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["brands.api.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["brands.api.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["brands.api.JsonBody"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "brands.api.answer_error",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Sendonce API",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "POSTPROCESSING_HOOKS": ["leads.api_docs.add_words"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "displayRequestDuration": True,
        "docExpansion": "list",
        "defaultModelsExpandDepth": 0,
        "defaultModelRendering": "example",
        "validatorUrl": None,
    },
}

# --- how the admin looks ----------------------------------------------------------------------
UNFOLD = UNFOLD_LOOK
