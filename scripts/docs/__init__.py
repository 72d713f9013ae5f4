"""The documentation: pages made from the code, `llms.txt`, and the site."""
