//! The objects of one kind, as a list and the watch after it bring them.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasherDefault, DefaultHasher},
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
    /// Of a hasher without chance in it: what is done for each of them is done in the same order in every play of a simulation. Names
    /// that were made to collide would cost time; who may make thousands of objects has simpler ways to that.
    objects: HashMap<Key, (u32, T), BuildHasherDefault<DefaultHasher>>,
    /// The names that keys share.
    namespaces: HashSet<Arc<str>>,
    /// The number of the newest list: each object has that of the list that it was last known in.
    list: u32,
}

impl<T> Default for Census<T> {
    fn default() -> Self {
        Self { objects: HashMap::default(), namespaces: HashSet::new(), list: 0 }
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
    pub fn key(&mut self, key: &Key) -> Key {
        if let Some((known, _)) = self.objects.get_key_value(key) {
            return known.clone();
        }
        let known = self.namespaces.get(&key.namespace).cloned();
        let namespace = known.unwrap_or_else(|| {
            if self.namespaces.len() == self.namespaces.capacity() {
                self.namespaces.retain(|namespace| Arc::strong_count(namespace) > 1);
            }
            self.namespaces.insert(Arc::clone(&key.namespace));
            Arc::clone(&key.namespace)
        });
        Key { namespace, name: Arc::clone(&key.name) }
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

    /// The objects of one namespace. Goes through those of all.
    pub fn of(&self, namespace: &str) -> impl Iterator<Item = (&Key, &T)> {
        let all = self.objects.iter().filter(move |(key, _)| *key.namespace == *namespace);
        all.map(|(key, (_, object))| (key, object))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
        let of = |namespace: &str| census.of(namespace).map(|(key, n)| (key.clone(), *n)).collect::<BTreeMap<_, _>>();
        assert_eq!(of("s"), BTreeMap::from([(b, 2), (c, 3)]));
        assert_eq!(of("t"), BTreeMap::from([(other, 4)]));
        assert_eq!(of("r"), BTreeMap::new());
        let [one, other] = ["d", "e"].map(|name| census.key(&Key::new("s", name)).namespace);
        assert!(Arc::ptr_eq(&one, &other), "a namespace's name is kept once");
        for namespace in 0..100 {
            census.key(&Key::new(&namespace.to_string(), "a"));
        }
        assert!(census.namespaces.len() < 50, "namespaces that are gone are forgotten: {}", census.namespaces.len());
    }
}
