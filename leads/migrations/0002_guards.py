from django.db import migrations

GUARDS = """
CREATE TRIGGER never_deleted BEFORE DELETE ON leads_lead FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');
CREATE TRIGGER never_deleted BEFORE DELETE ON leads_leadlist FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');
"""

UNDO = """
DROP TRIGGER never_deleted ON leads_leadlist;
DROP TRIGGER never_deleted ON leads_lead;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("leads", "0001_initial"),
        ("brands", "0002_guards"),
    ]

    operations = [migrations.RunSQL(GUARDS, UNDO)]
