"""Reading Kedro projects: the only package that touches a live one.

Reading runs nothing: it creates no dataset, calls no hook, and neither loads nor needs credentials. The result is plain
frozen data; everything after this package is pure.
"""
