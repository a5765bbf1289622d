"""Words in titles and descriptions: the same answer on both databases, in any script and any case."""

import json
import unicodedata

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from psycopg import sql

from tasks_app import search, tokens
from tasks_app.models import Task
from tasks_app.sqlite import fold
from tests.servers import Deployment
from tests.services.stack import Services
from tests.tasks_app.making import submitted

FOUND = [
    ("Überprüfung der Rechnung", "überprüfung"), ("überprüfung rechnung", "ÜBERPRÜFUNG RECHNUNG"), ("Żółć", "żÓŁĆ"),
    ("ПРОВЕРКА счёта", "проверка СЧЁТ"), ("ΟΔΟΣ ΑΘΗΝΑΣ", "οδος αθηνας"), ("οδός", "ΟΔΌΣ"), ("Straße", "STRASSE"),
    ("GROSS", "groß"), ("STRAẞE", "straße"), ("Cafe\u0301 noir", "CAFÉ"), ("CAFÉ", "cafe\u0301"), ("İzmir", "i\u0307zmir"),
    ("ILIK çay", "ılık"), ("DIŞ", "dış"), ("ﬁnance", "FIN"), ("273 \u212aelvin", "KELVIN"), ("ՀԱՅԵՐԵՆ", "հայերեն"),
    ("ᲗᲑᲘᲚᲘᲡᲘ", "თბილისი"), ("𐐀𐐁𐐂", "𐐨𐐩𐐪"), ("請求書の確認", "求書の"), ("한국어 보고서", "보고서"),
    ("\u1112\u1161\u11ab글자", "한글자"), ("Ἀθῆναι", "ἈΘΗ͂ΝΑΙ"), ("ǅungla", "ǆUNGLA"), ("100% ÄÖ_\\", "% äö_\\"), ("Ǎb", "ǎB"),
]  # fmt: skip
NOT_FOUND = [
    ("Uberprufung", "überprüfung"), ("Überprüfung", "uber"), ("İzmir", "izmir"), ("äöü", "ä_ü"), ("Ärger", "är%er"),
    ("проверка", "провЕрки"), ("ваза", "baba"), ("가나다", "각나다"),
]  # fmt: skip


def found(words: str) -> list[str]:
    return list(search.with_words(Task.objects.all(), words).values_list("title", flat=True))


@pytest.mark.django_db
@pytest.mark.parametrize(("title", "words"), FOUND, ids=[ascii(words) for _, words in FOUND])
def test_a_word_is_found_in_any_case_and_script(title: str, words: str) -> None:
    submitted("Another")
    submitted(title, description="x")
    assert found(words) == [title]
    Task.objects.filter(title=title).update(title="By description", description=f"… {title} …")
    assert found(words) == ["By description"]


@pytest.mark.django_db
@pytest.mark.parametrize(("title", "words"), NOT_FOUND, ids=[ascii(words) for _, words in NOT_FOUND])
def test_other_letters_are_other_words(title: str, words: str) -> None:
    submitted(title)
    assert found(words) == []


@pytest.mark.django_db
def test_every_character_is_folded_alike_on_both_databases() -> None:
    assert differences(folded_here(CHARACTERS)) == {}


@pytest.mark.django_db
def test_a_name_that_is_longer_in_capitals_fits_the_filter_of_the_page(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    submitted("ß" * 255)
    page = client.get("/dashboard/", {"text": "S" * 200}).content.decode()
    assert "ß" * 255 in page


@pytest.mark.django_db
def test_the_admin_searches_so_too(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    owner = User.objects.create_user("Øystein")
    tokens.issue(owner, name="Prüfer", scopes=["tasks:read"])
    submitted("Überprüfung")
    submitted("Other")
    searches = [
        ("task", "ÜBERprüf", "Überprüfung"),
        ("apitoken", "PRÜFER", "Prüfer"),
        ("apitoken", "øyst", "Prüfer"),
    ]
    for address, words, shown in searches:
        page = client.get(reverse(f"admin:tasks_app_{address}_changelist"), {"q": words}).content.decode()
        assert shown in page and "Other" not in page, words


# ---- Databases of other locales -------------------------------------------------------------------------------------

CHARACTERS = [
    character
    for number in range(1, 0x110000)
    if unicodedata.ucd_3_2_0.category(character := chr(number)) not in ("Cn", "Cs", "Co")
]
"""Those of Unicode 3.2: what later versions added may be unknown to one of the two."""


def differences(folded: list[str]) -> dict[str, tuple[str, str]]:
    pairs = zip(CHARACTERS, folded, strict=True)
    return {ascii(one): (ascii(theirs), ascii(fold(f"x{one}é"))) for one, theirs in pairs if theirs != fold(f"x{one}é")}


FOLDING = "SELECT tasks_app_fold('x' || value || 'é') FROM"


def folded_here(texts: list[str]) -> list[str]:
    """By the test's own database."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"{FOLDING} unnest(%s::text[]) WITH ORDINALITY AS item (value, n) ORDER BY n", [texts])
        else:
            cursor.execute(f"{FOLDING} json_each(%s) ORDER BY key", [json.dumps(texts)])
        return [text for (text,) in cursor.fetchall()]


LOCALES = {
    "C": "LOCALE 'C'",
    "Turkish": "LOCALE_PROVIDER icu ICU_LOCALE 'tr' LOCALE 'C'",
}


@pytest.mark.services
@pytest.mark.parametrize("name", LOCALES)
def test_the_databases_locale_changes_nothing(services: Services, name: str) -> None:
    """`upper()` alone knows ASCII only in the locale C, and makes `İ` of `i` in Turkish."""
    deployment = Deployment(services)
    database = sql.Identifier(deployment.name)
    options = sql.SQL(LOCALES[name])
    services.postgres.drop_database(deployment.name)
    services.postgres.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' ").format(database) + options
    )
    try:
        deployment.manage("migrate", "--verbosity", "0")
        with psycopg.connect(services.postgres.url(deployment.name)) as session:
            asked = f"{FOLDING} unnest(%s::text[]) WITH ORDINALITY AS item (value, n) ORDER BY n"
            assert differences([text for (text,) in session.execute(asked, [CHARACTERS]).fetchall()]) == {}
            session.execute("SET enable_seqscan = off")
            holds = "SELECT 1 FROM tasks_app_task WHERE tasks_app_fold(title || ' ' || description) LIKE '%%FUNG%%'"
            plan = session.execute(f"EXPLAIN {holds}").fetchall()
            assert "task_text" in str(plan)
        deployment.manage("migrate", "tasks_app", "0010", "--verbosity", "0")  # and back
    finally:
        services.postgres.drop_database(deployment.name)
