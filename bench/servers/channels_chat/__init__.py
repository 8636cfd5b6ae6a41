"""The chat of the Django Channels tutorial, as a Django project in one folder."""
