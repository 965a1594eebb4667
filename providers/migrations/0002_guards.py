from django.db import migrations

GUARDS = """
CREATE OR REPLACE FUNCTION sendonce_account_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM brands_installation WHERE is_sandbox <> NEW.is_simulated) THEN
        RAISE EXCEPTION 'a sandbox has simulated accounts only, any other installation has none'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER account_fits BEFORE INSERT OR UPDATE ON providers_provideraccount FOR EACH ROW
    EXECUTE FUNCTION sendonce_account_fits();
CREATE TRIGGER never_deleted BEFORE DELETE ON providers_provideraccount FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');
CREATE TRIGGER never_deleted BEFORE DELETE ON providers_sendernumber FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');
CREATE TRIGGER never_deleted BEFORE DELETE ON providers_route FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');
"""

UNDO = """
DROP TRIGGER never_deleted ON providers_route;
DROP TRIGGER never_deleted ON providers_sendernumber;
DROP TRIGGER never_deleted ON providers_provideraccount;
DROP TRIGGER account_fits ON providers_provideraccount;
DROP FUNCTION sendonce_account_fits();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0001_initial"),
        ("brands", "0002_guards"),
    ]

    operations = [migrations.RunSQL(GUARDS, UNDO)]
