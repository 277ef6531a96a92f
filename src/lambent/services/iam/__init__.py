"""Identity and Access Management: who there is in each account, and what they may do."""
