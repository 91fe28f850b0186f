"""The page: everything that imports streamlit or altair lives here."""
