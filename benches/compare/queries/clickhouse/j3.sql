-- J3 in ClickHouse: one sorted array of times a visitor, no window. The idiomatic form there.
select sum(visits) as sessions, sum(duration) / sessions / 1e6 as mean_duration_s, sum(bounces) / sessions as bounce_rate
from (
  select arraySort(groupArray(toUnixTimestamp64Micro(timestamp))) as times,
    arrayMap(pause -> pause >= 1800000000, arrayDifference(times)) as breaks,
    arraySum(pause -> if(pause >= 1800000000, 0, pause), arrayDifference(times)) as duration,
    arraySum(breaks) + 1 as visits,
    arraySum((starts, ends) -> starts and ends,
      arrayConcat([1], arrayPopFront(breaks)), arrayConcat(arrayPopFront(breaks), [1])) as bounces
  from {{pages}} group by anonymous_id)
