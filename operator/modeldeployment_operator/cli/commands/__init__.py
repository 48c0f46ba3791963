"""One module for each command, imported when it is called: who asks for help does not wait for the others."""
