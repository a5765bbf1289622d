"""What the import writes."""

from typing import ClassVar

from django.db import models


class Contact(models.Model):
    """A person in the address book; the last import that named an address wins."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200)

    # Written out for mypy only, which knows the managers of installed apps: this one comes by EXTRA_APPS.
    objects: ClassVar[models.Manager["Contact"]] = models.Manager()

    def __str__(self) -> str:
        return self.email
