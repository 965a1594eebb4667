from django.db import migrations

GUARDS = """
CREATE OR REPLACE FUNCTION sendonce_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER sandbox_is_fixed BEFORE UPDATE OF is_sandbox ON brands_installation FOR EACH ROW
    WHEN (OLD.is_sandbox <> NEW.is_sandbox)
    EXECUTE FUNCTION sendonce_refuse('an installation is a sandbox or not for ever; wipe it instead');

CREATE OR REPLACE FUNCTION sendonce_only_a_sandbox_shifts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM brands_installation WHERE is_sandbox) THEN
        RAISE EXCEPTION 'only a sandbox may shift its clock' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER only_a_sandbox_shifts BEFORE INSERT ON brands_clockshift FOR EACH ROW
    EXECUTE FUNCTION sendonce_only_a_sandbox_shifts();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON brands_clockshift FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are only ever added');
CREATE TRIGGER never_deleted BEFORE DELETE ON brands_brand FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');
CREATE TRIGGER never_deleted BEFORE DELETE ON brands_installation FOR EACH ROW
    EXECUTE FUNCTION sendonce_refuse('rows are retired, never deleted');
"""

UNDO = """
DROP TRIGGER never_deleted ON brands_installation;
DROP TRIGGER never_deleted ON brands_brand;
DROP TRIGGER append_only ON brands_clockshift;
DROP TRIGGER only_a_sandbox_shifts ON brands_clockshift;
DROP TRIGGER sandbox_is_fixed ON brands_installation;
DROP FUNCTION sendonce_only_a_sandbox_shifts();
DROP FUNCTION sendonce_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("brands", "0001_initial"),
    ]

    operations = [migrations.RunSQL(GUARDS, UNDO)]
