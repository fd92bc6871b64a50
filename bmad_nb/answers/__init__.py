"""What an answer says: taken out of what an LLM wrote, in a form in which two can be compared."""
