"""The application that the recorded conversations were held with, written for zchat."""
