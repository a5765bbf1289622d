"""All settings, from the environment only (README.md has the table). Three absences make the embedded default:
no DATABASE_URL is SQLite in DATA_DIR, no RABBITMQ_URL a broker and no REDIS_URL a channel layer inside the process."""

import math
import os
import re
import sys
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from taskmanager import addresses, env, instance, logs, postgresql

VERSION = "0.1.0"
RELEASE = env.text("RELEASE", default=VERSION)
"""Of the code that runs here, handlers of one's own included; workers write it into a task's history."""
if len(RELEASE) > 100 or not RELEASE.isprintable():
    raise ImproperlyConfigured("RELEASE is one line of at most 100 characters.")
BASE_DIR = Path(__file__).resolve().parent.parent

# ---- Role and address -------------------------------------------------------------------------------------------
ROLE = env.choice("ROLE", "", "standalone", "web", "live", "worker", "notifier", "flower", default="")
STANDALONE = ROLE == "standalone"
HOST = addresses.listen_host("HOST", default="127.0.0.1")
PORT = env.port("PORT", "API_PORT", default=8000)
DATA_DIR = env.directory("DATA_DIR") or BASE_DIR / "data"

# ---- Database ---------------------------------------------------------------------------------------------------
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",  # a deferred transaction that upgrades fails at once; no timeout helps it
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA temp_store=MEMORY;"
    "PRAGMA cache_size=-16000;PRAGMA mmap_size=134217728;PRAGMA journal_size_limit=67108864",
}
DB_ANSWER_SECONDS = env.seconds("DB_ANSWER_SECONDS", default=15, maximum=3600)
WORKER_CONCURRENCY = env.integer("WORKER_CONCURRENCY", default=os.cpu_count() or 1, minimum=1, maximum=1000)
NOTIFIER_CONCURRENCY = env.integer("NOTIFIER_CONCURRENCY", default=32, minimum=1, maximum=1000)


def _database(url: str) -> dict[str, Any]:
    if not url:
        name = DATA_DIR / "db.sqlite3"
        test = {"NAME": DATA_DIR / "test.sqlite3"}  # the default, shared-cache memory, is unfit for threads
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": SQLITE_OPTIONS, "TEST": test}
    scheme, _, rest = url.partition("://")
    if scheme.startswith(("mysql", "mariadb", "oracle", "mssql")):
        raise ImproperlyConfigured(
            f"DATABASE_URL names {scheme}: this server keeps its tasks in PostgreSQL (postgresql://…), "
            "or in SQLite when DATABASE_URL is absent."
        )
    base = scheme.split("+")[0]
    if base not in ("postgres", "postgresql", "sqlite"):
        raise ImproperlyConfigured("DATABASE_URL is no address of the form postgresql://user:password@host:5432/name.")
    try:
        one, hosts = postgresql.hosts(f"{base}://{rest}")
        parsed: dict[str, Any] = {**dj_database_url.parse(one), **hosts}
    except ValueError as error:
        raise ImproperlyConfigured("DATABASE_URL cannot be read: is a special character not %-encoded?") from error
    if base == "sqlite":
        return {**parsed, "OPTIONS": SQLITE_OPTIONS}
    if not parsed["NAME"]:
        raise ImproperlyConfigured("DATABASE_URL names no database: postgresql://user:password@host:5432/name.")
    postgresql.check(parsed)
    options = {
        "connect_timeout": 5,
        **({"target_session_attrs": "read-write"} if hosts else {}),
        "application_name": f"taskmanager {ROLE}".strip(),
        **parsed.get("OPTIONS", {}),
    }
    parsed |= {"ENGINE": "taskmanager.postgresql", "OPTIONS": options, "CONN_HEALTH_CHECKS": True, "CONN_MAX_AGE": 600}
    parsed["DISABLE_SERVER_SIDE_CURSORS"] = True  # a pooler gives each statement another session
    if ROLE:  # a command that a person types may take its time: a migration does
        options["answer_seconds"] = DB_ANSWER_SECONDS
    if ROLE == "web":
        options["idle_seconds"] = postgresql.IDLE_SECONDS
    if ROLE == "live":  # many threads, few connections
        parsed |= {"CONN_MAX_AGE": 0}
        options["pool"] = postgresql.POOL
    return parsed


DATABASE_URL = env.text("DATABASE_URL", "DB_URL")
DATABASES = {"default": _database(DATABASE_URL)}
EMBEDDED_DATABASE = not DATABASE_URL
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DB_CONNECT_ATTEMPTS = env.integer("DB_CONNECT_ATTEMPTS", default=30, minimum=1, maximum=10_000)
DB_CONNECT_BACKOFF = env.seconds("DB_CONNECT_BACKOFF", default=1, maximum=300)

# ---- Secrets: from the environment, or made once in DATA_DIR by the embedded default -------------------------------
_SECRETS_DIR = DATA_DIR if EMBEDDED_DATABASE else None
SECRET_KEY = env.kept_secret("SECRET_KEY", directory=_SECRETS_DIR, make=env.random_key)
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set, and DATABASE_URL is: a server with a database of its own needs a key of its own. "
        'Make one with: python -c "import secrets; print(secrets.token_urlsafe(64))"'
    )
DEBUG = env.flag("DEBUG", default=False)

# ---- Who may, and from where (docs/decisions/0003-anonymous-api.md) -------------------------------------------------
ANONYMOUS_API = env.choice("ANONYMOUS_API", "loopback", "on", "off", default="loopback")
ANONYMOUS_ON_LOOPBACK = ANONYMOUS_API == "loopback" and STANDALONE and instance.is_loopback(HOST)
ALLOWED_HOSTS = addresses.allowed_hosts("ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]")
CORS_ALLOWED_ORIGINS = addresses.origins("CORS_ALLOW_ORIGINS")
CORS_ALLOW_ALL_ORIGINS = CORS_ALLOWED_ORIGINS == ["*"]
if CORS_ALLOW_ALL_ORIGINS:
    CORS_ALLOWED_ORIGINS = []
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "if-match", "x-csrftoken", "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = [
    "link", "location", "retry-after", "etag", "idempotent-replayed", "x-request-id",
    "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset",
]  # fmt: skip
# Where people reach this server. Its path is the prefix below which a proxy offers it.
PUBLIC_URL, PUBLIC_ORIGIN, PATH_PREFIX = instance.public_url("PUBLIC_URL")
if STANDALONE and not PUBLIC_URL:
    PUBLIC_URL = f"http://{HOST}:{PORT}"
CSRF_TRUSTED_ORIGINS = [*CORS_ALLOWED_ORIGINS, *([PUBLIC_ORIGIN] if PUBLIC_ORIGIN else [])]

CSRF_FAILURE_VIEW = "tasks_app.api.errors.csrf_failure"

HTTPS_ONLY = env.flag("HTTPS_ONLY", default=False)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS_ONLY
SECURE_REDIRECT_EXEMPT = [r"^(.*/)?(healthz|livez)$"]
if HTTPS_ONLY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
_HOST_ONLY = HTTPS_ONLY and not PATH_PREFIX
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME, MESSAGE_COOKIE_NAME = instance.cookie_names(SECRET_KEY, host_only=_HOST_ONLY)
MESSAGE_STORAGE = "taskmanager.messages.Storage"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{PATH_PREFIX}/"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576  # bytes of one request's body; the API answers 413 above it

FLOWER_LINK = addresses.web_url("FLOWER_LINK")  # shown in the admin, for operators
RABBITMQ_LINK = addresses.web_url("RABBITMQ_LINK")

# ---- Application ---------------------------------------------------------------------------------------------------
EXTRA_APPS = env.words("EXTRA_APPS")  # manage.py tries them
INSTALLED_APPS = [
    "daphne",
    "taskmanager.admin_site.OperationsAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "channels",
    "django_htmx",
    "taskmanager",
    "tasks_app",
    "notifications",
    *EXTRA_APPS,
]
MIDDLEWARE = [
    "taskmanager.middleware.RequestIdMiddleware",
    "taskmanager.middleware.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "taskmanager.middleware.SecurityPolicyMiddleware",
    "taskmanager.middleware.MethodMiddleware",
    "tasks_app.api.bodies.read_whole_body",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "taskmanager.login_limit.LoginLimitMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "taskmanager.middleware.one_thread_hop",
]
ROOT_URLCONF = "taskmanager.urls"
APPEND_SLASH = False
WSGI_APPLICATION = "taskmanager.wsgi.application"
ASGI_APPLICATION = "taskmanager.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["tasks_app.templatetags.paths"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "tasks:login", "tasks:dashboard", "tasks:dashboard"
DATETIME_FORMAT = "Y-m-d H:i:s"  # with USE_I18N off; in UTC
LANGUAGE_CODE, USE_I18N, USE_TZ, TIME_ZONE = "en", False, True, "UTC"
STATIC_URL = f"{PATH_PREFIX}/static/"
STATIC_ROOT = env.directory("STATIC_ROOT")  # where collectstatic puts copies, if anywhere
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_USE_FINDERS = STATIC_ROOT is None  # pages have their styles without collectstatic too
SILENCED_SYSTEM_CHECKS = ["staticfiles.W004"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tasks_app.api.authentication.Credentials"],
    "DEFAULT_PERMISSION_CLASSES": ["tasks_app.api.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["tasks_app.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["tasks_app.api.renderers.CompactJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "tasks_app.api.renderers.AlwaysJSON",
    "EXCEPTION_HANDLER": "tasks_app.api.errors.problem_response",
    "DEFAULT_THROTTLE_CLASSES": ["tasks_app.api.throttles.RequestRate"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Taskmanager",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.1",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVERS": [{"url": PATH_PREFIX}] if PATH_PREFIX else [],
    "POSTPROCESSING_HOOKS": ["tasks_app.api.v1.schema.complete"],
}
API_RATE = env.integer("API_RATE", default=60_000, minimum=0, maximum=10_000_000)  # a minute and token; 0: no limit
LOGIN_RATE = env.integer("LOGIN_RATE", default=10, minimum=0, maximum=100_000)  # failures a minute; 0: no limit
WEB_WORKERS = env.integer("WEB_WORKERS", default=2, minimum=1, maximum=1000)
WEB_THREADS = env.integer("WEB_THREADS", default=4, minimum=1, maximum=1000)
REQUEST_SECONDS = env.integer("REQUEST_SECONDS", default=30, minimum=1, maximum=60)
"""A request's head, and then its body, must have arrived within it; and each 64 KiB of an answer must have left."""
LONG_POLLS = env.integer("LONG_POLLS", default=WEB_THREADS // 2, minimum=0, maximum=1000)  # of each process

# ---- Celery: queues are declared in taskmanager/celery.py -----------------------------------------------------------
RABBITMQ_URL = addresses.broker_url("RABBITMQ_URL")
RABBITMQ_CONNECT_ATTEMPTS = env.integer("RABBITMQ_CONNECT_ATTEMPTS", default=30, minimum=1, maximum=10_000)
RABBITMQ_CONNECT_BACKOFF = env.seconds("RABBITMQ_CONNECT_BACKOFF", default=1, maximum=300)
WORKER_PREFETCH = env.integer("WORKER_PREFETCH", default=WORKER_CONCURRENCY, minimum=1, maximum=100_000)

CELERY_BROKER_URL = RABBITMQ_URL or "memory://localhost/"  # without a host: one warning for each connection
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"confirm_publish": True} if RABBITMQ_URL else {"polling_interval": 0.01}
)
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_CONNECTION_TIMEOUT = 2.0
CELERY_BROKER_HEARTBEAT = 10
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_ACKS_ON_FAILURE = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.05,
    "interval_max": 0.05,
}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = math.ceil(WORKER_PREFETCH / WORKER_CONCURRENCY)
CELERY_WORKER_CONCURRENCY = NOTIFIER_CONCURRENCY if ROLE == "notifier" else WORKER_CONCURRENCY
CELERY_WORKER_CONSUMER = "taskmanager.consumer:Consumer"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
if ROLE == "worker":
    CELERY_DB_REUSE_MAX = sys.maxsize  # keeps the connection; taskmanager.celery checks it before each Celery task

TASK_PIPELINE = ["tasks_app.process_tasks", "notifications.send_webhooks"]
SWEEPS = ["tasks_app.recovery.sweep", "notifications.recovery.sweep", "tasks_app.quarantine.sweep"]
TASK_VALIDATORS = [
    "tasks_app.handlers.email.check_email",
    "notifications.validators.check_callback",
    "notifications.validators.check_http_request",
]
SWEEP_SECONDS = env.seconds("SWEEP_SECONDS", default=2, maximum=3600)
LEASE_SECONDS = env.integer("LEASE_SECONDS", default=30, minimum=3, maximum=3600)
GRACE_SECONDS = env.seconds("GRACE_SECONDS", default=5, maximum=3600)
SHUTDOWN_SECONDS = env.seconds("SHUTDOWN_SECONDS", default=1.5 if STANDALONE else 20, maximum=3600)
TASK_RETENTION_DAYS = env.integer("TASK_RETENTION_DAYS", default=0, minimum=0, maximum=36_500)  # 0: kept for ever

# ---- Live updates ---------------------------------------------------------------------------------------------------
REDIS_URL = addresses.redis_url("REDIS_URL")
CACHES: dict[str, Any] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if REDIS_URL:  # only counts requests: it may be away, and must then cost no time
    CACHES["default"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "taskmanager",
        "OPTIONS": {
            "socket_connect_timeout": 0.25,
            "socket_timeout": 0.25,
            "retry": Retry(NoBackoff(), 0),
            "serializer": "tasks_app.api.throttles.WholeNumbers",
            "parser_class": "notifications.redis_replies.Parser",
        },
    }
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "notifications.layers.RedisLayer" if REDIS_URL else "notifications.layers.InProcessLayer",
        "CONFIG": {"hosts": [REDIS_URL]} if REDIS_URL else {"capacity": 2000},
    }
}

# ---- Webhooks -------------------------------------------------------------------------------------------------------
WEBHOOK_URL = addresses.url("WEBHOOK_URL", schemes=("http", "https"))
WEBHOOK_EVENTS = env.words("WEBHOOK_EVENTS", default="task.completed")
WEBHOOK_URL_SECRET = env.kept_secret("WEBHOOK_URL_SECRET", directory=_SECRETS_DIR, make=env.random_webhook_secret)
WEBHOOK_SIGNING_KEY = env.kept_secret("WEBHOOK_SIGNING_KEY", directory=_SECRETS_DIR, make=env.random_key)
WEBHOOK_ENCRYPTION_KEYS = env.words("WEBHOOK_ENCRYPTION_KEYS")  # newest first; none: one derived from SECRET_KEY
WEBHOOK_ENDPOINTS_MOST = env.integer("WEBHOOK_ENDPOINTS_MOST", default=50, minimum=0, maximum=10_000)  # of one owner
WEBHOOK_IN_FLIGHT = env.integer("WEBHOOK_IN_FLIGHT", default=5, minimum=1, maximum=1000)  # requests to one endpoint
WEBHOOK_RETRY_SECONDS = env.whole_numbers(
    "WEBHOOK_RETRY_SECONDS", default="5,30,120,600,1800,7200,18000,36000,50400,72000,86400", minimum=1, maximum=604_800
)
"""From one failed attempt to the next, 12 attempts in 75 h 42 min, then it is given up."""
WEBHOOK_ALLOWED_NETWORKS = env.words("WEBHOOK_ALLOWED_NETWORKS")
WEBHOOK_DENIED_HOSTS = env.words("WEBHOOK_DENIED_HOSTS")
WEBHOOK_ALLOW_HTTP = env.flag("WEBHOOK_ALLOW_HTTP", default=False)
WEBHOOK_PORTS = env.whole_numbers("WEBHOOK_PORTS", default="80,443,8000,8080,8443", minimum=1, maximum=65_535)
WEBHOOK_ALLOW_LOOPBACK = STANDALONE and instance.is_loopback(HOST)  # others must not reach what listens on this machine
WEBHOOK_CA_BUNDLE = env.text("WEBHOOK_CA_BUNDLE")
WEBHOOK_DEADLINE_SECONDS = env.seconds("WEBHOOK_DEADLINE_SECONDS", default=15, maximum=30)
WEBHOOK_RETENTION_DAYS = env.integer("WEBHOOK_RETENTION_DAYS", default=30, minimum=4, maximum=36_500)
WEBHOOK_PAYLOAD_DAYS = env.integer(  # bodies may go before the log of their deliveries
    "WEBHOOK_PAYLOAD_DAYS", default=WEBHOOK_RETENTION_DAYS, minimum=4, maximum=WEBHOOK_RETENTION_DAYS
)

TASK_TOPIC = bool(RABBITMQ_URL)  # plain JSON events for other services: only where other services can listen

# ---- E-mail, for the kind of that name: off without EMAIL_HOST ------------------------------------------------------
EMAIL_HOST = addresses.host("EMAIL_HOST")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=False)
EMAIL_USE_SSL = env.flag("EMAIL_USE_SSL", default=False)
EMAIL_PORT = env.port("EMAIL_PORT", default=465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_TIMEOUT = env.integer("EMAIL_TIMEOUT", default=10, minimum=1, maximum=60)  # seconds for each step
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL")
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    raise ImproperlyConfigured(
        "EMAIL_USE_TLS and EMAIL_USE_SSL are both on: TLS is STARTTLS, SSL is TLS from the start."
    )
if bool(EMAIL_HOST_USER) != bool(EMAIL_HOST_PASSWORD):
    raise ImproperlyConfigured("EMAIL_HOST_USER and EMAIL_HOST_PASSWORD go together: set both, or neither.")
if (EMAIL_HOST or DEFAULT_FROM_EMAIL) and not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(DEFAULT_FROM_EMAIL)[1]):
    raise ImproperlyConfigured(
        "DEFAULT_FROM_EMAIL must be the sender, tasks@example.org or Tasks <tasks@example.org>, where EMAIL_HOST is set."
    )

# ---- The role `flower` -----------------------------------------------------------------------------------------------
FLOWER_PORT = env.port("FLOWER_PORT", default=5555)
FLOWER_USER = env.text("FLOWER_USER")
FLOWER_PASSWORD = env.text("FLOWER_PASSWORD")
if ":" in FLOWER_USER or "," in FLOWER_USER + FLOWER_PASSWORD or not (FLOWER_USER + FLOWER_PASSWORD).isascii():
    # Flower splits its list of logins at commas: a password with one would be two shorter passwords.
    raise ImproperlyConfigured(
        "FLOWER_USER and FLOWER_PASSWORD: Flower reads ASCII without commas, and no colon in the name."
    )

# ---- Logs -----------------------------------------------------------------------------------------------------------
LOG_LEVEL = env.choice("LOG_LEVEL", "debug", "info", "warning", "error", default="info").upper()
LOGGING = logs.to_stdout(LOG_LEVEL)
