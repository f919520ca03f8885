"""Everything that prints: findings, plans and explanations, as text, tables, JSON, SARIF. Decides nothing."""
