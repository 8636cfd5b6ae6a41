"""The probe application: `about.apps` of tests/vectors/transcripts.json, as far as zchat has it."""

from zchat import Application

app = Application(__file__)
app.watch("gate", "connector")
