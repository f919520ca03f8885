"""What a plan looks like to people and programs: its facts, and the table, tree, picture and JSON document that tell them."""
