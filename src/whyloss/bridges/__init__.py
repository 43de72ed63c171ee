"""Floor 2: losses in other people's loops. Nothing of theirs is imported unless the user does.

`boosting.py`: any row loss as the objective of LightGBM, XGBoost or CatBoost."""
