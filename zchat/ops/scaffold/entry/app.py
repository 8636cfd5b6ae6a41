"""The application that all servers of this project run."""

from zchat import Application

app = Application(__file__)
