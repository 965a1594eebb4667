from django.db import migrations

GUARDS = """
CREATE TRIGGER never_deleted BEFORE DELETE ON campaigns_campaign FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');
CREATE TRIGGER never_deleted BEFORE DELETE ON campaigns_slot FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON campaigns_templateversion FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are only ever added');
"""

UNDO = """
DROP TRIGGER append_only ON campaigns_templateversion;
DROP TRIGGER never_deleted ON campaigns_slot;
DROP TRIGGER never_deleted ON campaigns_campaign;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0001_initial"),
        ("brands", "0002_guards"),
    ]

    operations = [migrations.RunSQL(GUARDS, UNDO)]
