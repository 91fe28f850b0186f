"""The page. Beside it only web imports streamlit, and nothing else altair."""
