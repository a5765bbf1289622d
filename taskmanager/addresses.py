"""Readers of the settings that are host names, origins and URLs. What they take can be used; their errors show no password."""

import re
from ipaddress import AddressValueError, IPv6Address, ip_address
from urllib.parse import SplitResult, unquote, urlsplit

import redis
from django.core.exceptions import ImproperlyConfigured

from taskmanager import env

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NAME_ON_A_NETWORK = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?")
"""What containers and Windows call machines has underscores, and resolves."""
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?")
_NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_STANDARD_PORTS = {"http": "80", "https": "443"}

ENCODE = "if its password has a special character, write that %-encoded (@ %40, : %3A, / %2F, ? %3F, # %23, % %25)"


def listen_host(name: str, *, default: str) -> str:
    """An address or name of this machine to listen on; IPv6 without brackets."""
    value = env.text(name, default=default)
    if not (_is_ip(value) or _NAME_ON_A_NETWORK.fullmatch(value.lower())):
        raise ImproperlyConfigured(
            f"{name}={env.shown(value)} is no address to listen on: it must be like 127.0.0.1, 0.0.0.0, :: or localhost, "
            "and the port goes into PORT."
        )
    return value


def host(name: str) -> str:
    """The host of a server, without scheme and port; an empty string if there is none."""
    value = env.text(name)
    if value and not (_is_ip(value) or _NAME_ON_A_NETWORK.fullmatch(value.lower())):
        raise ImproperlyConfigured(
            f"{name}={env.shown(value)} is no host: it must be a name or address alone, such as mail.example.org."
        )
    return value


def allowed_hosts(name: str, *, default: str) -> list[str]:
    """Names for Django's ALLOWED_HOSTS: only such as a request can bring and Django lets through."""
    return [_allowed_host(name, word) for word in env.words(name, default=default)]


def _allowed_host(name: str, word: str) -> str:
    lower = word.lower()
    if word == "*" or _NAME.fullmatch(lower.removeprefix(".")):
        return lower
    if lower.startswith("[") and lower.endswith("]"):
        try:
            return f"[{IPv6Address(lower[1:-1])}]"
        except AddressValueError:
            pass
    advice = "it must be a name alone, such as tasks.example.org, 10.0.0.1, [::1], .example.org for all below it, or *"
    if "_" in lower and _NAME.fullmatch(lower.replace("_", "-").removeprefix(".")):
        advice = (
            "host names have no underscore, and each request to this one would be refused; give the server another name"
        )
    elif not lower.isascii():
        advice = "it must be written as requests bring it, in ASCII (xn--…)"
    raise ImproperlyConfigured(f"{name}: {env.shown(word)} is no host name: {advice}.")


def origins(name: str) -> list[str]:
    """Origins as browsers send them (RFC 6454): lower case, no standard port. Or `*` alone."""
    found = env.words(name)
    return found if found == ["*"] else [_origin(name, word) for word in found]


def _origin(name: str, word: str) -> str:
    parts = _ORIGIN.fullmatch(word.lower())
    if parts is None or (parts[2].startswith("[") and not _is_ip(parts[2][1:-1])) or not _is_port(parts[3]):
        hidden = "one of its origins" if "@" in word else env.shown(word)
        raise ImproperlyConfigured(
            f"{name}: {hidden} is no origin of the form https://host or http://host:port, without a path; or * alone for any."
        )
    scheme, host, port = parts.groups()
    return f"{scheme}://{host}" + (f":{int(port)}" if port and _STANDARD_PORTS.get(scheme) != port else "")


def web_url(name: str) -> str:
    """An http or https URL of a page, that people may be shown: no password, query or fragment. Or an empty string."""
    value = env.text(name)
    if not value:
        return ""
    form = f"{name} must be an absolute URL of the form https://host, without a password, ? or #"
    parts = _split(name, value, ("http", "https"), form=form)
    if parts.query or parts.fragment or "?" in value or "#" in value or "@" in parts.netloc or not _is_host(parts):
        raise ImproperlyConfigured(f"{form}.")
    if re.search(r"""[\s"'<>\\^`{|}]""", value) or not value.isascii():
        raise ImproperlyConfigured(f"{form}; other characters than those of URLs must be %-encoded.")
    return value


def broker_url(name: str) -> str:
    """amqp:// or amqps://, several with semicolons; or an empty string."""
    value = env.text(name)
    form = f"{name} is no address of the form amqp or amqps://user:password@host:5672/vhost: {ENCODE}"
    for url in value.split(";") if value else []:
        parts = _split(name, url, ("amqp", "amqps"), form=form)
        if "?" in url or "#" in url or not _is_host(parts):
            raise ImproperlyConfigured(f"{form}.")
        _check_encoding(name, parts.username, parts.password, parts.path)
    return value


def redis_url(name: str) -> str:
    """redis://, rediss:// or unix://; or an empty string."""
    value = env.text(name)
    if not value:
        return ""
    form = f"{name} is no address of the form redis, rediss://user:password@host:6379/0 or unix:///path/to.sock?db=0: {ENCODE}"
    parts = _split(name, value, ("redis", "rediss", "unix"), form=form)
    is_socket = parts.scheme == "unix"
    number = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair).get("db", "0")
    number_in_path = "" if is_socket else parts.path.removeprefix("/")
    if "#" in value or not re.fullmatch(r"[0-9]{0,4}", number_in_path) or not re.fullmatch(r"[0-9]{1,4}", number):
        raise ImproperlyConfigured(f"{form}; the database is a number.")
    if (parts.hostname or len(parts.path) < 2) if is_socket else not _is_host(parts):
        raise ImproperlyConfigured(f"{form}.")
    _check_encoding(name, parts.username, parts.password, parts.path)
    try:  # makes no connection
        redis.ConnectionPool.from_url(value).make_connection()
    except Exception as error:  # whatever a class says to an option that it does not know
        raise ImproperlyConfigured(f"{name} has options after its ? that Redis's client does not know.") from error
    return value


def url(name: str, *, schemes: tuple[str, ...]) -> str:
    """Any address with one of `schemes` and a host, or an empty string. What it may hold is for others to say."""
    value = env.text(name)
    if value:
        form = f"{name} must be an absolute URL of the form {' or '.join(schemes)}://host"
        if not _split(name, value, schemes, form=form).hostname:
            raise ImproperlyConfigured(f"{form}.")
    return value


def _split(name: str, value: str, schemes: tuple[str, ...], *, form: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in schemes and value[len(parts.scheme) :].startswith("://") and _has_port(parts)
    except ValueError:
        valid = False
    if not valid or " " in value:
        raise ImproperlyConfigured(f"{form}.")
    return parts


def _has_port(parts: SplitResult) -> bool:
    written = re.search(r":([^:\]@]*)\Z", parts.netloc.rpartition("@")[2])
    return written is None or _is_port(written[1])


def _is_port(text: str | None) -> bool:
    return not text or (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65_535)


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    return _is_ip(host) if ":" in host else bool(_NAME_ON_A_NETWORK.fullmatch(host))


def _is_ip(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _check_encoding(name: str, *texts: str | None) -> None:
    for text in filter(None, texts):
        # What is not UTF-8 becomes U+FFFD, as with those who will read it.
        if _NOT_ENCODED.search(text) or not unquote(text).isprintable():
            raise ImproperlyConfigured(f"{name} has a % that starts no %-encoded character: a % itself is written %25.")
