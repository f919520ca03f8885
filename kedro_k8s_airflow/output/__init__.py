"""What commands print: findings, plans and explanations as text, tables, trees, JSON, SARIF and GitHub annotations."""
