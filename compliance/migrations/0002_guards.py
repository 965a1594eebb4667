from django.db import migrations

GUARDS = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON compliance_optoutevent FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are only ever added');
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON compliance_consentevent FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are only ever added');
CREATE TRIGGER never_deleted BEFORE DELETE ON compliance_person FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');

ALTER TABLE compliance_person SET (fillfactor = 70);
"""

UNDO = """
ALTER TABLE compliance_person RESET (fillfactor);
DROP TRIGGER never_deleted ON compliance_person;
DROP TRIGGER append_only ON compliance_consentevent;
DROP TRIGGER append_only ON compliance_optoutevent;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0001_initial"),
        ("brands", "0002_guards"),
    ]

    operations = [migrations.RunSQL(GUARDS, UNDO)]
