//! The objects of one kind, as a list and the watch after it bring them.

use std::{
    collections::{BTreeMap, btree_map::Range},
    fmt,
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// An object's namespace and name. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// The object of this name in the same namespace.
    pub fn beside(&self, name: &str) -> Self {
        Self { namespace: Arc::clone(&self.namespace), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What is known of each object. A new list tells which of them are gone, without a second set of their names.
pub struct Census<T> {
    objects: BTreeMap<Key, (u32, T)>,
    /// The number of the newest list: each object has that of the list that it was last known in.
    list: u32,
}

impl<T> Default for Census<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), list: 0 }
    }
}

impl<T> Census<T> {
    /// A new list begins.
    pub const fn begin(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// The object is there, as it was. What is inserted needs no mark.
    pub fn mark(&mut self, key: &Key) {
        if let Some((list, _)) = self.objects.get_mut(key) {
            *list = self.list;
        }
    }

    /// Those that have not been there since the list began.
    pub fn missing(&self) -> Vec<Key> {
        self.objects.iter().filter(|(_, (list, _))| *list != self.list).map(|(key, _)| key.clone()).collect()
    }

    /// The key as it is kept, which costs no more to keep twice; or for a new object, with the namespace's name shared.
    pub fn key(&self, key: &Key) -> Key {
        if let Some((known, _)) = self.objects.get_key_value(key) {
            return known.clone();
        }
        let neighbour = self.objects.range(..key).next_back().map(|(known, _)| &known.namespace);
        let namespace = neighbour.filter(|its| **its == key.namespace).unwrap_or(&key.namespace);
        Key { namespace: Arc::clone(namespace), name: Arc::clone(&key.name) }
    }

    pub fn get(&self, key: &Key) -> Option<&T> {
        self.objects.get(key).map(|(_, object)| object)
    }

    pub fn insert(&mut self, key: Key, object: T) -> Option<T> {
        self.objects.insert(key, (self.list, object)).map(|(_, before)| before)
    }

    pub fn remove(&mut self, key: &Key) -> Option<T> {
        self.objects.remove(key).map(|(_, object)| object)
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.objects.values().map(|(_, object)| object)
    }

    /// The objects of one namespace.
    pub fn of<'a>(&'a self, namespace: &'a Arc<str>) -> impl Iterator<Item = (&'a Key, &'a T)> {
        let first = Key { namespace: Arc::clone(namespace), name: "".into() };
        let all: Range<'a, _, _> = self.objects.range(first..);
        all.take_while(move |(key, _)| key.namespace == *namespace).map(|(key, (_, object))| (key, object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_tells_what_is_gone() {
        let mut census = Census::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| Key::new("s", name));
        census.begin();
        census.insert(a.clone(), 1);
        census.insert(b.clone(), 2);
        assert_eq!(census.missing(), []);
        census.begin();
        census.mark(&b);
        census.insert(c.clone(), 3);
        assert_eq!(census.missing(), std::slice::from_ref(&a), "what the watch brings counts as well");
        census.remove(&a);
        assert_eq!(census.missing(), []);
        let other = Key::new("t", "a");
        census.insert(other.clone(), 4);
        let of = |namespace: &str| census.of(&namespace.into()).map(|(key, n)| (key.clone(), *n)).collect::<Vec<_>>();
        assert_eq!(of("s"), [(b, 2), (c, 3)]);
        assert_eq!(of("t"), [(other, 4)]);
        assert_eq!(of("r"), []);
    }
}
