#!/usr/bin/env python3
"""Writes expected.txt: how often, and when, cron rules fire, by the rules of docs/design/schedules.md.

Written apart from the library, on Python's zoneinfo. Each line: rule, zone, year, number of instants, and a hash
(FNV-1a, 64 bits) over the instants in seconds since 1970, each as 8 bytes, the lowest first. Years are those of UTC.

    python3 oracle.py > expected.txt
"""
import calendar
import datetime as dt
import sys
from zoneinfo import ZoneInfo

ZONES = [
    "UTC", "Europe/Stockholm", "Europe/London", "America/New_York", "America/St_Johns", "America/Sao_Paulo",
    "America/Caracas", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca",
    "Antarctica/Troll",
]
YEARS = range(2010, 2020)
# Of rules that fire more often than this in a year only two years are written.
OFTEN, OFTEN_YEARS = 5000, (2011, 2016)
RULES = [
    "30 2 * * *", "0 * * * *", "*/15 * * * *", "15 2 * * *", "0 9 * * *", "0 0 * * *", "30 0 * * *",
    "*/20 2 * * *", "0 0 13 * 5", "0 0 */2 * 1", "0 0 29 2 *", "0 0 31 * *", "0 3 L * *", "0 3 L-3 * *",
    "0 3 LW * *", "0 3 15W * *", "0 3 1W * *", "0 12 * * 5L", "0 12 * * 5#2", "0 8-18/2 * * MON-FRI",
    "5,35 1,2,3 * * 7", "10/25 */6 * JAN,JUL *", "0 0 1 */3 ?", "59 23 28-31 * SUN", "0 1-3 * 3,10,11 *",
    "30 */10 * * * *", "15 30 2 * * *", "0 59 23 31 12 ?", "@yearly", "@monthly", "@weekly", "@daily", "@hourly",
]
SHORT = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}
MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
DAYS = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
UTC = dt.timezone.utc
LONGEST_GAP = dt.timedelta(hours=3)


def number(text, names):
    return names.get(text.upper()) if text.upper() in names else int(text)


def plain(field, low, high, names=None):
    """The numbers that a field of lists, ranges and steps names."""
    found = set()
    for part in field.split(","):
        body, _, step = part.partition("/")
        if body in ("*", "?"):
            first, last = low, high
        elif "-" in body:
            first, last = (number(end, names or {}) for end in body.split("-"))
        else:
            first = number(body, names or {})
            last = high if step else first
        found.update(range(first, last + 1, int(step or 1)))
    return found


def weekday(day):
    return (day.weekday() + 1) % 7


def nearest_weekday(year, month, day):
    """The weekday next to a day, within its month."""
    last = calendar.monthrange(year, month)[1]
    day = min(day, last)
    which = weekday(dt.date(year, month, day))
    if which == 6:
        return day - 1 if day > 1 else day + 2
    if which == 0:
        return day + 1 if day < last else day - 2
    return day


def is_day_of_month(field, day):
    last = calendar.monthrange(day.year, day.month)[1]
    for part in field.split(","):
        if part == "LW":
            hit = day.day == nearest_weekday(day.year, day.month, last)
        elif part.startswith("L"):
            hit = day.day == last - int(part[2:] or 0)
        elif part.endswith("W"):
            wanted = int(part[:-1])
            hit = wanted <= last and day.day == nearest_weekday(day.year, day.month, wanted)
        else:
            hit = day.day in plain(part, 1, 31)
        if hit:
            return True
    return False


def is_day_of_week(field, day):
    last = calendar.monthrange(day.year, day.month)[1]
    for part in field.split(","):
        if part.upper().endswith("L"):
            hit = weekday(day) == number(part[:-1], DAYS) % 7 and day.day + 7 > last
        elif "#" in part:
            which, nth = part.split("#")
            hit = weekday(day) == number(which, DAYS) % 7 and (day.day - 1) // 7 + 1 == int(nth)
        else:
            hit = weekday(day) in {number % 7 for number in plain(part, 0, 7, DAYS)}
        if hit:
            return True
    return False


class Rule:
    def __init__(self, text):
        fields = SHORT.get(text, text).split()
        if len(fields) == 5:
            fields = ["0"] + fields
        self.seconds, self.minutes = sorted(plain(fields[0], 0, 59)), sorted(plain(fields[1], 0, 59))
        self.hours, self.months = sorted(plain(fields[2], 0, 23)), plain(fields[4], 1, 12, MONTHS)
        self.day, self.weekday = fields[3], fields[5]
        self.is_fixed = "*" not in fields[2]

    def fits(self, day):
        if day.month not in self.months:
            return False
        of_month, of_week = is_day_of_month(self.day, day), is_day_of_week(self.weekday, day)
        if self.day[0] in "*?" or self.weekday[0] in "*?":
            return of_month and of_week
        return of_month or of_week

    def walls(self, first, last):
        """The wall times from a day to another."""
        day = first
        while day <= last:
            if self.fits(day):
                for hour in self.hours:
                    for minute in self.minutes:
                        for second in self.seconds:
                            yield dt.datetime(day.year, day.month, day.day, hour, minute, second)
            day += dt.timedelta(days=1)


def instants_of(wall, zone):
    """The instants at which clocks of the zone show a wall time: none, one or two."""
    found = []
    for fold in (0, 1):
        instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == wall and instant not in found:
            found.append(instant)
    return sorted(found)


def after_gap(wall, zone):
    """The first instant after the gap that a wall time lies in, unless the gap is too long."""
    before = wall.replace(tzinfo=zone, fold=0)
    after = wall.replace(tzinfo=zone, fold=1)
    gap = after.utcoffset() - before.utcoffset()
    gap = abs(gap)
    if gap > LONGEST_GAP:
        return None
    # By halves: the offset changes between these two instants.
    low = int((wall.replace(tzinfo=UTC) - dt.timedelta(hours=30)).timestamp())
    high = int((wall.replace(tzinfo=UTC) + dt.timedelta(hours=30)).timestamp())
    is_after = lambda at: dt.datetime.fromtimestamp(at, zone).replace(tzinfo=None) > wall
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_after(middle) else (middle, high)
    return dt.datetime.fromtimestamp(high, UTC)


def fires(rule, zone, first, last):
    """All instants from a day to another."""
    found = set()
    for wall in rule.walls(first, last):
        instants = instants_of(wall, zone)
        if rule.is_fixed:
            if instants:
                found.add(instants[0])
            elif (instant := after_gap(wall, zone)) is not None:
                found.add(instant)
        else:
            found.update(instants)
    return sorted(found)


def fnv(instants):
    value = 0xCBF29CE484222325
    for instant in instants:
        for byte in int(instant.timestamp()).to_bytes(8, "little"):
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    for text in RULES:
        rule = Rule(text)
        for name in ZONES:
            days = dt.date(YEARS[0], 1, 1) - dt.timedelta(days=3), dt.date(YEARS[-1], 12, 31) + dt.timedelta(days=3)
            all_of = fires(rule, ZoneInfo(name), *days)
            for year in YEARS:
                of_year = [instant for instant in all_of if instant.year == year]
                if len(of_year) > OFTEN and year not in OFTEN_YEARS:
                    continue
                print(f"{text}|{name}|{year}|{len(of_year)}|{fnv(of_year):016x}")
        sys.stdout.flush()


main()
