from django.db import migrations

GUARDS = """
CREATE TRIGGER moves BEFORE UPDATE OF status ON delivery_message FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND NOT (OLD.status || '>' || NEW.status) = ANY (
        '{accepted>delivered,accepted>failed,accepted>no_report,accepted>sent,
        accepted>undelivered,cancelled>accepted,cancelled>delivered,cancelled>failed,
        cancelled>sent,cancelled>undelivered,dead>accepted,dead>delivered,dead>failed,
        dead>sent,dead>undelivered,expired>accepted,expired>delivered,expired>failed,
        expired>sent,expired>undelivered,no_report>delivered,no_report>failed,
        no_report>undelivered,not_found>accepted,not_found>delivered,not_found>failed,
        not_found>sent,not_found>undelivered,planned>accepted,planned>cancelled,
        planned>dead,planned>delivered,planned>expired,planned>failed,planned>refused,
        planned>sending,planned>sent,planned>undelivered,refused>accepted,
        refused>delivered,refused>failed,refused>sent,refused>undelivered,
        sending>accepted,sending>delivered,sending>failed,sending>planned,
        sending>rejected,sending>sent,sending>undelivered,sending>unknown,sent>delivered,
        sent>failed,sent>no_report,sent>undelivered,unknown>accepted,unknown>delivered,
        unknown>failed,unknown>no_report,unknown>not_found,unknown>sent,
        unknown>undelivered}'::text[]))
    EXECUTE FUNCTION sendonce_refuse('the status may not move this way');

CREATE OR REPLACE FUNCTION sendonce_slot_time_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM delivery_message m JOIN delivery_attempt a ON a.message_id = m.id
               WHERE m.slot_id = NEW.id) THEN
        RAISE EXCEPTION 'a message of this slot has been handed over: its time is frozen'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER slot_time_is_frozen
    BEFORE UPDATE OF local_date, ordinal, local_time, length_minutes ON campaigns_slot
    FOR EACH ROW WHEN ((OLD.local_date, OLD.ordinal, OLD.local_time, OLD.length_minutes)
        IS DISTINCT FROM (NEW.local_date, NEW.ordinal, NEW.local_time, NEW.length_minutes))
    EXECUTE FUNCTION sendonce_slot_time_is_frozen();

ALTER TABLE delivery_message SET (fillfactor = 60);
ALTER TABLE delivery_attempt SET (fillfactor = 70);
ALTER TABLE delivery_capcounter SET (fillfactor = 50);
ALTER TABLE delivery_due SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0);
INSERT INTO delivery_frontier (id, attempt_id) VALUES (1, 0);
"""

UNDO = """
DELETE FROM delivery_frontier;
ALTER TABLE delivery_due RESET (
    autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay);
ALTER TABLE delivery_capcounter RESET (fillfactor);
ALTER TABLE delivery_attempt RESET (fillfactor);
ALTER TABLE delivery_message RESET (fillfactor);
DROP TRIGGER slot_time_is_frozen ON campaigns_slot;
DROP FUNCTION sendonce_slot_time_is_frozen();
DROP TRIGGER moves ON delivery_message;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("delivery", "0001_initial"),
        ("campaigns", "0002_guards"),
    ]

    operations = [migrations.RunSQL(GUARDS, UNDO)]
